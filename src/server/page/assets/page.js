// What every page has: times in the reader's zone, and choices that take effect when they are made.

import { localise } from "./times.js";

document.documentElement.classList.add("scripted");
localise(document);
for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
