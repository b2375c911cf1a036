// Script of every page: shows times in the reader's zone, and submits forms whose choice takes effect at once.

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
