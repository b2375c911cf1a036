// Suggestions of titles while one is typed: the server finds them, so that no page carries them all.

// Pause after a letter before the server is asked, in milliseconds.
const PAUSE = 150;

function offer(field) {
  const list = field.list;
  let asked;
  async function ask() {
    asked?.abort();
    asked = new AbortController();
    try {
      const query = new URLSearchParams({ text: field.value.replace(/\s*#\d*$/, "") });
      const answer = await fetch(`${field.dataset.foundAt}?${query}`, { cache: "no-store", signal: asked.signal });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(`<datalist>${await answer.text()}</datalist>`, "text/html");
      list.replaceChildren(...fresh.querySelectorAll("option"));
    } catch {
      // Another letter was typed meanwhile, or the server cannot be reached. The field works without suggestions.
    }
  }
  let timer;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
}

export function offerTitles(part) {
  for (const field of part.querySelectorAll("input[data-found-at]")) offer(field);
}
