// Search in a log: the server searches all of it, however long it is.

export function search(log, form) {
  const field = form.querySelector("input");
  const told = form.querySelector("output");
  let asked = "";
  let found = [];
  let at = -1;

  function step(by) {
    at = (at + by + found.length) % found.length;
    told.textContent = `${at + 1} of ${found.length}${found.more ? "+" : ""}`;
    log.show(found[at]);
  }

  async function ask(text) {
    asked = text;
    const query = new URLSearchParams({ text });
    const answer = await fetch(`/operator/v1/runs/${log.screen.dataset.run}/log/search?${query}`, { cache: "no-store" });
    if (!answer.ok) return;
    const { lines, more } = await answer.json();
    found = Object.assign(lines, { more });
    at = -1;
    log.mark(found);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value;
    if (text === "") {
      asked = told.textContent = "";
      return log.mark([]);
    }
    if (text !== asked) await ask(text);
    if (found.length === 0) told.textContent = "not found";
    else step(event.submitter?.name === "back" ? -1 : 1);
  });
}
