// Popovers, which ask for confirmation or details before an action: one takes the focus when it opens; Escape closes it
// and gives the focus back. Text that was typed stays.

export function popovers() {
  // `toggle` does not bubble, so it is caught in the capture phase.
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
