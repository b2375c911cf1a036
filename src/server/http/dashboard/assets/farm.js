// Pages of the farm: fetch their parts again when /events announces a change there.

import { listen } from "./link.js";
import { reader } from "./parts.js";

// Longest time for which changes are gathered, in milliseconds: on a farm everything changes all the time.
const GATHERED = 500;
const PARTS = ["farm-jobs", "farm-workers", "farm-job", "farm-tasks", "farm-task", "farm-log"];

const shown = PARTS.filter((part) => document.getElementById(part));
const read = reader(() => `/parts${location.pathname}${location.search}`, keepChosen);

// What is chosen on the page stays chosen: the fetched part does not know of it.
function keepChosen(part) {
  for (const box of part.querySelectorAll("input[name=worker]")) {
    const old = document.querySelector(`input[name=worker][value="${box.value}"]`);
    if (old) box.checked = old.checked;
  }
}

let waiting = false;
function gather() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    read(...shown);
  }, GATHERED);
}

listen((message) => {
  if (message.kind === "farm" || message.event === "resync") gather();
}, { farm: true });
