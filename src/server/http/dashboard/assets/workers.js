// Workers as they stand, and the menu of what they can be asked to do.

import { listen } from "./link.js";
import { reader } from "./parts.js";

const form = document.getElementById("act");
const { action, apply, all } = form.elements;

const boxes = () => [...form.querySelectorAll("input[name=worker]")];
const can = (box, wanted) => box.dataset.actions.split(" ").includes(wanted);

// Only what a chosen worker can do is offered; nothing is sent before an action and a worker are chosen.
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
