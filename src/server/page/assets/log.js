// The log of a run as it grows.

// The most characters of a log that are shown; the oldest go first.
const MOST = 2000000;
const PAUSE = 1000;

function append(log, text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(text);
  while (log.childNodes.length > 1 && log.textContent.length > MOST) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// True when the run is over and all is said.
async function read(log) {
  const answer = await fetch(`/operator/v1/runs/${log.dataset.run}/follow`, { cache: "no-store" });
  if (!answer.ok) return false;
  const lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let over = false;
  log.replaceChildren();
  for (;;) {
    const { done, value } = await lines.read();
    if (done) return over;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole.map((line) => JSON.parse(line))) {
      if (line === "gap") append(log, "\n[... left out ...]\n");
      else if (line.log !== undefined) append(log, line.log);
      else if (line.run !== undefined) over = line.run.ended !== null;
    }
  }
}

export async function follow(log) {
  for (;;) {
    try {
      if (await read(log)) return;
    } catch {
      // Asked again below.
    }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}
