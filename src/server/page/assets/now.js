// What runs now, as it happens.

import { listen } from "./link.js";
import { reader } from "./parts.js";

const read = reader(() => `/parts/now${location.search}`);

listen((message) => {
  if (message.event !== "log" && message.kind !== "worker") read("runs");
});
