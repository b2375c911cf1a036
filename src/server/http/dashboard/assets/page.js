// What every page has: times in the reader's zone, and choices that take effect when they are made.

import { popovers } from "./popovers.js";
import { localise } from "./times.js";
import { offerTitles } from "./titles.js";

document.documentElement.classList.add("scripted");
localise(document);
offerTitles(document);
popovers();
for (const select of document.querySelectorAll("select[data-submit]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
