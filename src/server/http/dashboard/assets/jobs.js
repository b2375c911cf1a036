// Page "Jobs": fetches the list again when /events announces a change.

import { listen } from "./link.js";
import { reader } from "./parts.js";
import { advance } from "./times.js";

const read = reader(() => `/parts/jobs${location.search}`, advance);

listen((message) => {
  if (message.event !== "log" && message.kind !== "worker") read("list");
});
advance(document);
setInterval(() => advance(document), 1000);
