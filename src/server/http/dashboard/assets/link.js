// Connection to /events: passes on its messages, connects again after a loss, and shows its state.

// Pauses before another attempt, in milliseconds; each is twice the one before.
const FIRST_PAUSE = 500;
const LAST_PAUSE = 15000;

const shown = document.getElementById("link");

function show(state, words) {
  if (!shown || shown.dataset.state === state) return;
  shown.dataset.state = state;
  shown.className = `link ${state}`;
  shown.firstElementChild.textContent = words;
}

// A WebSocket does not tell why it was refused, so a plain request finds out whether the session has ended.
async function askedToLogIn() {
  const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
  return answer.status === 401;
}

// Calls `heard` with each message. The first message of a connection is a `resync`: after it, everything must be read
// again, so that nothing is missed that happened while there was no connection. Messages about the farm concern its own
// pages alone, which ask for them.
export function listen(heard, { farm = false } = {}) {
  const url = new URL("/events", location);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let pause = FIRST_PAUSE;
  function connect() {
    const socket = new WebSocket(url);
    socket.onmessage = (message) => {
      pause = FIRST_PAUSE;
      show("live", "live");
      const said = JSON.parse(message.data);
      if (farm || said.kind !== "farm") heard(said);
    };
    socket.onclose = () => {
      show("lost", "not connected, trying again");
      // Random, so that all browsers do not come back in the same moment after a restart of the server.
      setTimeout(again, pause * (0.5 + Math.random() / 2));
      pause = Math.min(pause * 2, LAST_PAUSE);
    };
  }
  async function again() {
    try {
      if (await askedToLogIn()) return location.reload();
    } catch {
      // The server cannot be reached; the next attempt to connect finds out when it is back.
    }
    connect();
  }
  connect();
}
