// Page "Now": fetches a lane again when /events announces that a run has entered or left it.

import { listen } from "./link.js";
import { reader } from "./parts.js";
import { advance } from "./times.js";

const ALL = ["scheduled", "claimed", "running", "completed"];
const CHANGED = {
  scheduled: ["scheduled"],
  waits: ["scheduled"],
  enqueued: ["scheduled", "claimed"],
  given_back: ["scheduled", "claimed", "running"],
  started: ["claimed", "running"],
  returned: ALL,
};

function address(ids) {
  const query = new URLSearchParams(location.search);
  for (const id of ids) query.append("lane", id.replace("lane-", ""));
  return `/parts/now?${query}`;
}

const read = reader(address, advance);

listen((message) => {
  if (message.kind === "run" && message.event in CHANGED) read(...CHANGED[message.event].map((lane) => `lane-${lane}`));
  else if (message.event === "resync" || message.kind === "job") read(...ALL.map((lane) => `lane-${lane}`));
});
advance(document);
setInterval(() => advance(document), 1000);
