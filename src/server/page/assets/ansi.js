// Colours of a terminal, as far as logs have them: what sets the look of letters (SGR) is kept, all else that steers a
// terminal is left out. Every letter of a log reaches the page as text.

const STEERING = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|[\x00-\x08\x0b-\x1f\x7f]/g;
const PLAIN = Object.freeze({});
const SET = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck" };
const UNSET = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["struck"] };

// What is left of a line on which something was written over what stood there.
function lastWritten(line) {
  const end = line.endsWith("\r") ? line.length - 1 : line.length;
  return line.slice(line.lastIndexOf("\r", end - 1) + 1, end);
}

// One of 256 colours: sixteen by name, a cube, and greys.
function ofTable(number) {
  if (number < 16) return number;
  if (number >= 232) return `rgb(${Array(3).fill(8 + (number - 232) * 10)})`;
  const level = (value) => (value === 0 ? 0 : 55 + value * 40);
  const place = number - 16;
  return `rgb(${[Math.floor(place / 36), Math.floor(place / 6) % 6, place % 6].map(level)})`;
}

// The colour that these numbers name, and how many of them do so.
function extended(numbers) {
  const ok = (value) => Number.isInteger(value) && value >= 0 && value < 256;
  if (numbers[0] === 5 && ok(numbers[1])) return [ofTable(numbers[1]), 2];
  if (numbers[0] === 2 && numbers.slice(1, 4).every(ok)) return [`rgb(${numbers.slice(1, 4)})`, 4];
  return [undefined, numbers.length];
}

function change(look, text) {
  const numbers = text.split(/[;:]/).map(Number);
  let next = { ...look };
  for (let at = 0; at < numbers.length; at += 1) {
    const number = numbers[at];
    if (number === 0) next = {};
    else if (number in SET) next[SET[number]] = true;
    else if (number in UNSET) for (const name of UNSET[number]) delete next[name];
    else if (number >= 30 && number <= 37) next.front = number - 30;
    else if (number >= 40 && number <= 47) next.back = number - 40;
    else if (number >= 90 && number <= 97) next.front = number - 82;
    else if (number >= 100 && number <= 107) next.back = number - 92;
    else if (number === 39) delete next.front;
    else if (number === 49) delete next.back;
    else if (number === 38 || number === 48) {
      const [colour, used] = extended(numbers.slice(at + 1));
      if (colour !== undefined) next[number === 38 ? "front" : "back"] = colour;
      at += used;
    }
  }
  return next;
}

// The pieces of a line, each with its look, and the look after it.
export function pieces(line, look = PLAIN) {
  const found = [];
  const text = lastWritten(line);
  let from = 0;
  for (const match of text.matchAll(STEERING)) {
    if (match.index > from) found.push([text.slice(from, match.index), look]);
    if (match[1] !== undefined) look = change(look, match[1]);
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push([text.slice(from), look]);
  return { found, look };
}

// Writes pieces into an element.
export function paint(element, found) {
  for (const [text, look] of found) {
    const names = Object.values(SET).filter((name) => look[name]);
    if (names.length === 0 && look.front === undefined && look.back === undefined) {
      element.append(text);
      continue;
    }
    const span = document.createElement("span");
    span.textContent = text;
    for (const [property, name, colour] of [["color", "f", look.front], ["background-color", "b", look.back]]) {
      if (typeof colour === "number") names.push(name + colour);
      else if (colour) span.style.setProperty(property, colour);
    }
    span.className = names.join(" ");
    element.append(span);
  }
}
