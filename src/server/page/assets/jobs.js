// All jobs as they stand.

import { listen } from "./link.js";
import { reader } from "./parts.js";

const read = reader(() => `/parts/jobs${location.search}`);

listen((message) => {
  if (message.event !== "log" && message.kind !== "worker") read("list");
});
