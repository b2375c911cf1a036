// The connection to the server: what happens is heard at once, and whether it is there is shown.

const FIRST_PAUSE = 500;
const LAST_PAUSE = 15000;

const shown = document.getElementById("link");

function show(state, words) {
  if (!shown || shown.dataset.state === state) return;
  shown.dataset.state = state;
  shown.className = `link ${state}`;
  shown.firstElementChild.textContent = words;
}

// Whoever is logged out meanwhile is asked for the token.
async function askedToLogIn() {
  const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
  return answer.status === 401;
}

// Calls `heard` with each message. The first of a connection is a `resync`: read everything after it, and nothing is
// missed, whatever happened while there was none.
export function listen(heard) {
  const url = new URL("/events", location);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let pause = FIRST_PAUSE;
  function connect() {
    const socket = new WebSocket(url);
    socket.onmessage = (message) => {
      pause = FIRST_PAUSE;
      show("live", "live");
      heard(JSON.parse(message.data));
    };
    socket.onclose = () => {
      show("lost", "not connected, trying again");
      setTimeout(again, pause * (0.5 + Math.random() / 2));
      pause = Math.min(pause * 2, LAST_PAUSE);
    };
  }
  async function again() {
    try {
      if (await askedToLogIn()) return location.reload();
    } catch {
      // The server is away: the next connection shows when it is back.
    }
    connect();
  }
  connect();
}
