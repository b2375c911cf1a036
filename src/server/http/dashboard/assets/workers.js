// Page "Workers": fetches its tables again after changes, and offers the commands that the chosen workers can follow.

import { listen } from "./link.js";
import { reader } from "./parts.js";

const form = document.getElementById("act");
const { action, apply, all } = form.elements;

const boxes = () => [...form.querySelectorAll("input[name=worker]")];
const can = (box, wanted) => box.dataset.actions.split(" ").includes(wanted);

// Offers only commands that a chosen worker can follow; the form is sent only with a command and a worker chosen.
function offer() {
  if (!action) return;
  const chosen = boxes().filter((box) => box.checked);
  for (const option of action.options) {
    option.disabled = option.value !== "" && chosen.length > 0 && !chosen.some((box) => can(box, option.value));
  }
  if (action.selectedOptions[0]?.disabled) action.value = "";
  apply.disabled = action.value === "" || chosen.length === 0;
  const words = chosen.length === 1 ? "1 worker chosen" : `${chosen.length} workers chosen`;
  document.getElementById("chosen").textContent = chosen.length > 0 ? words : "";
}

form.addEventListener("change", offer);
all?.addEventListener("click", () => {
  const every = boxes().every((box) => box.checked);
  for (const box of boxes()) box.checked = !every;
  offer();
});
offer();

const read = reader(() => "/parts/workers");

listen(async (message) => {
  if (message.event === "log" || message.kind === "job") return;
  await read("workers", "pools");
  offer();
});
