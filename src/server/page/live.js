// Keeps a page as the server knows it: parts of it are fetched anew when something has changed, and the log of a
// run is read as it grows. After a break everything is read again, so nothing is missed.

const FIRST_PAUSE = 500;
const LAST_PAUSE = 15000;
// The most characters of a log that are shown; the oldest go first.
const MOST = 2000000;

const link = document.getElementById("link");
const page = document.body.dataset.live;

function tell(state, words) {
  link.className = `link ${state}`;
  link.textContent = words;
}

// Calls again after pauses that grow while nothing works.
function pauses() {
  let pause = FIRST_PAUSE;
  return {
    reset() { pause = FIRST_PAUSE; },
    next() {
      const now = pause * (0.5 + Math.random() / 2);
      pause = Math.min(pause * 2, LAST_PAUSE);
      return new Promise((done) => setTimeout(done, now));
    },
  };
}

// One fetch at a time; what changes meanwhile is one more.
function refresher(url, id) {
  let busy = false;
  let again = false;
  return async function refresh() {
    again = true;
    if (busy) return;
    busy = true;
    try {
      while (again) {
        again = false;
        const answer = await fetch(url, { cache: "no-store" });
        if (answer.status === 401) return location.reload();
        if (!answer.ok) break;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
        document.getElementById(id).replaceWith(fresh);
      }
    } catch {
      // The server is away; the connection says so, and everything is read when it is back.
    } finally {
      busy = false;
    }
  };
}

function listen(refresh) {
  const pause = pauses();
  const url = new URL("/events", location);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  function connect() {
    const socket = new WebSocket(url);
    socket.onmessage = (message) => {
      pause.reset();
      tell("live", "live");
      if (JSON.parse(message.data).event !== "log") refresh();
    };
    socket.onclose = async () => {
      tell("lost", "not connected");
      await pause.next();
      connect();
    };
  }
  connect();
}

function append(log, text) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(text);
  while (log.childNodes.length > 1 && log.textContent.length > MOST) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// True when the run is over and all is said.
async function readLog(log, refresh, pause) {
  const answer = await fetch(`/operator/v1/runs/${log.dataset.run}/follow`, { cache: "no-store" });
  if (answer.status === 401) return location.reload();
  if (!answer.ok) return false;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let over = false;
  log.replaceChildren();
  tell("live", "live");
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return over;
    pause.reset();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((line) => JSON.parse(line))) {
      if (line === "gap") append(log, "\n[... left out ...]\n");
      else if (line.log !== undefined) append(log, line.log);
      else if (line.run !== undefined) {
        over = line.run.ended !== null;
        refresh();
      }
    }
  }
}

async function follow(log, refresh) {
  const pause = pauses();
  for (;;) {
    try {
      if (await readLog(log, refresh, pause)) return tell("", "over");
    } catch {
      // Asked again below.
    }
    tell("lost", "not connected");
    await pause.next();
  }
}

if (page === "runs") {
  listen(refresher("/parts/runs", "runs"));
} else if (page === "run") {
  const log = document.getElementById("log");
  follow(log, refresher(`/parts/runs/${log.dataset.run}`, "head"));
}
