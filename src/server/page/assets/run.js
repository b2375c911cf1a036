// A run as it goes on.

import { follow } from "./log.js";
import { listen } from "./link.js";
import { reader } from "./parts.js";

const log = document.getElementById("log");
const run = Number(log.dataset.run);
const read = reader(() => `/parts/runs/${run}`);

listen((message) => {
  const concerned = message.event === "resync" || message.run_id === run || message.kind === "kill_request";
  if (concerned && message.event !== "log") read("head");
});
follow(log);
