// Page of a run: follows its log, and fetches its summary again when /events announces a change.

import { listen } from "./link.js";
import { Log } from "./log.js";
import { reader } from "./parts.js";
import { search } from "./search.js";
import { advance } from "./times.js";

const screen = document.getElementById("log");
const run = Number(screen.dataset.run);
const log = new Log(screen, document.getElementById("log-follow"));
const size = document.getElementById("log-size");
const read = reader(() => `/parts/runs/${run}`, advance);

function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  return count < 1000000 ? `${(count / 1000).toFixed(1)} kB` : `${(count / 1000000).toFixed(1)} MB`;
}

log.lines.changed = () => {
  size.textContent = `${log.lines.count} lines, ${bytes(log.lines.bytes)}`;
  log.draw();
};

const line = /^#L(\d+)$/.exec(location.hash);
if (line) log.show(Number(line[1]) - 1);
search(log, document.getElementById("log-search"));

listen((message) => {
  const ours = message.run_id === run;
  if (message.event === "resync" || (ours && message.event !== "scheduled")) log.grow();
  if (message.event === "resync" || message.kind === "kill_request" || (ours && message.event !== "log")) read("head");
});
advance(document);
setInterval(() => advance(document), 1000);
