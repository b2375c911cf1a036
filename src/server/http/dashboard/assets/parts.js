// Partial updates: fetches parts of a page again and changes only what differs, so that focus and selection stay.

import { localise } from "./times.js";

// Pause between two readings, in milliseconds, so that a burst of changes causes one of them.
const PAUSE = 100;
// Pause after a reading that failed, in milliseconds.
const AGAIN = 1000;

const pause = (millis) => new Promise((done) => setTimeout(done, millis));

// Returns a function that reads parts, given by their ids, from the address that `address` makes of these. One reading
// at a time; parts asked for meanwhile are in the next. `dress` is called with each part before it is shown.
export function reader(address, dress = () => {}) {
  const wanted = new Set();
  let busy = false;
  return async function read(...ids) {
    for (const id of ids) wanted.add(id);
    if (busy) return;
    busy = true;
    try {
      while (wanted.size > 0) {
        const asked = [...wanted];
        wanted.clear();
        const done = await readOnce(address(asked), dress);
        if (!done) for (const id of asked) wanted.add(id);
        await pause(done ? PAUSE : AGAIN);
      }
    } catch {
      // The server cannot be reached. The connection shows that, and everything is read again once it is back.
    } finally {
      busy = false;
    }
  };
}

// Reads parts once. Returns false if the server cannot answer now, so that another attempt makes sense.
async function readOnce(address, dress) {
  const answer = await fetch(address, { cache: "no-store" });
  if (answer.status === 401) location.reload();
  if (!answer.ok) return answer.status < 500;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of [...fresh.body.children]) {
    const old = document.getElementById(part.id);
    if (!old) continue;
    localise(part);
    dress(part);
    if (!old.isEqualNode(part)) become(old, part);
  }
  return true;
}

// Turns `old` into `fresh`, node by node. Children with a `data-key` are recognised wherever they stand.
function become(old, fresh) {
  attributes(old, fresh);
  const keys = new Set([...fresh.children].map((child) => child.dataset.key));
  const known = new Map();
  for (const child of [...old.children].filter((child) => child.dataset.key)) {
    if (keys.has(child.dataset.key)) known.set(child.dataset.key, child);
    else child.remove();
  }
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.dataset?.key ? known.get(child.dataset.key) : alike(place, child) && place;
    if (!same) {
      old.insertBefore(child, place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else old.insertBefore(same, place);
    if (same.nodeType !== Node.ELEMENT_NODE) same.nodeValue = child.nodeValue;
    else if (!same.isEqualNode(child)) become(same, child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function alike(old, fresh) {
  return old && old.nodeName === fresh.nodeName && !old.dataset?.key;
}

// Copies attributes, except `open`: whether details are unfolded is up to the reader.
function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}
