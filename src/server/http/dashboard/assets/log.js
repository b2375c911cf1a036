// View of a run's log: only the visible lines are in the page, even of a log of a hundred megabytes.

import { paint } from "./paint.js";
import { Lines } from "./lines.js";

// Height of a line in pixels, as in the style sheet.
const LINE = 20;
// Browsers limit the height of an element to some millions of pixels: a longer log is scrolled through faster.
const HIGHEST = 8000000;
// Lines that are drawn above and below the visible ones.
const MARGIN = 10;

export class Log {
  constructor(screen, follow) {
    this.screen = screen;
    this.follow = follow;
    this.found = new Set();
    this.rows = new Map();
    this.drawn = false;
    this.jump = undefined;
    this.reel = document.createElement("div");
    this.reel.className = "reel";
    this.sheet = document.createElement("div");
    this.sheet.className = "lines";
    this.reel.append(this.sheet);
    this.lines = new Lines(screen.dataset.run, () => this.draw());
    screen.addEventListener("scroll", () => this.scrolled(), { passive: true });
    follow.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(screen);
  }

  // Finds out whether the log has grown.
  grow() {
    this.lines.look();
  }

  // Scrolls a line to the middle and marks it; the log is no longer followed.
  show(number) {
    this.follow.checked = false;
    this.current = number;
    this.jump = Math.max(0, number - Math.floor(this.visible() / 2));
    this.draw();
  }

  // Marks the lines that a search has found.
  mark(numbers) {
    this.found = new Set(numbers);
    this.rows.clear();
    this.draw();
  }

  visible() {
    return Math.max(1, Math.floor(this.screen.clientHeight / LINE));
  }

  // Returns how far the view can be scrolled, in pixels, and the last line that can stand at its top.
  range() {
    const lines = Math.max(0, this.lines.count - this.visible());
    const height = Math.min(this.lines.count * LINE, HIGHEST);
    return { lines, height, pixels: Math.max(0, height - this.screen.clientHeight) };
  }

  scrolled() {
    const { pixels } = this.range();
    const atEnd = pixels - this.screen.scrollTop < 2 * LINE;
    // Scrolling by the log itself must not change whether it is followed.
    if (Math.abs(this.screen.scrollTop - (this.ours ?? -1)) > 1) this.follow.checked = atEnd;
    this.draw();
  }

  scrollTo(top) {
    // The browser rounds and bounds the value, so it is read back.
    this.screen.scrollTop = top;
    this.ours = this.screen.scrollTop;
  }

  draw() {
    if (this.lines.count === 0) return;
    if (!this.drawn) {
      this.screen.replaceChildren(this.reel);
      this.drawn = true;
    }
    const { lines, height, pixels } = this.range();
    this.reel.style.height = `${height}px`;
    if (this.follow.checked) this.scrollTo(pixels);
    else if (this.jump !== undefined) this.scrollTo(lines ? (Math.min(this.jump, lines) / lines) * pixels : 0);
    this.jump = undefined;
    const at = pixels ? (this.screen.scrollTop / pixels) * lines : 0;
    const first = Math.max(0, Math.floor(at) - MARGIN);
    const end = Math.min(this.lines.count, Math.floor(at) + this.visible() + MARGIN + 1);
    this.sheet.style.transform = `translateY(${this.screen.scrollTop - (at - first) * LINE}px)`;
    this.fill(first, end);
  }

  fill(first, end) {
    const rows = new Map();
    for (let number = first; number < end; number += 1) {
      const line = this.lines.line(number);
      const known = this.rows.get(number);
      rows.set(number, known?.line === line && line ? known : { line, element: this.row(number, line) });
    }
    this.rows = rows;
    const elements = [...rows.values()].map((row) => row.element);
    const same = elements.length === this.sheet.children.length && elements.every((e, i) => e === this.sheet.children[i]);
    if (!same) this.sheet.replaceChildren(...elements);
    for (const [number, { element }] of rows) element.classList.toggle("current", number === this.current);
  }

  row(number, line) {
    const element = document.createElement("div");
    element.className = this.found.has(number) ? "line found" : "line";
    element.dataset.number = number + 1;
    if (line) paint(element, line);
    else element.classList.add("absent");
    return element;
  }
}
