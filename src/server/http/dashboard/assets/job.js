// Page of a job: fetches its changing parts again when /events announces a change.

import { listen } from "./link.js";
import { reader } from "./parts.js";
import { advance } from "./times.js";

const job = document.getElementById("job-state").dataset.job;
const read = reader(() => `/parts/jobs/${job}`, advance);

listen((message) => {
  const another = message.kind === "job" && message.job_id !== Number(job);
  if (message.event !== "log" && message.kind !== "worker" && !another) read("job-state");
});
advance(document);
setInterval(() => advance(document), 1000);
