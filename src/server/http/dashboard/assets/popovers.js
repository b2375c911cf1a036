// What unfolds before something is done: it takes the focus when it opens, and Escape closes it and gives the focus back.
// What was typed stays.

export function popovers() {
  // `toggle` does not rise, but is seen on its way down.
  document.addEventListener("toggle", ({ target }) => {
    if (!target.matches("details.ask[open]")) return;
    const panel = target.querySelector(":scope > div");
    (panel.querySelector("input:not([type=hidden]), select, textarea") ?? panel).focus();
  }, true);
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.ask[open]");
    if (!open) return;
    event.preventDefault();
    open.open = false;
    open.querySelector("summary").focus();
  });
}
