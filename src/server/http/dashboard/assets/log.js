// The log of a run on the screen: of a hundred megabytes, too, only the lines that are seen are in the page.

import { paint } from "./paint.js";
import { Lines } from "./lines.js";

const LINE = 20;
// Browsers have no higher elements than some millions of pixels: what is longer is scrolled through faster.
const HIGHEST = 8000000;
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

  // There may be more of it.
  grow() {
    this.lines.look();
  }

  // Shows a line in the middle.
  show(number) {
    this.follow.checked = false;
    this.current = number;
    this.jump = Math.max(0, number - Math.floor(this.visible() / 2));
    this.draw();
  }

  // Marks the lines in which something was found.
  mark(numbers) {
    this.found = new Set(numbers);
    this.rows.clear();
    this.draw();
  }

  visible() {
    return Math.max(1, Math.floor(this.screen.clientHeight / LINE));
  }

  // How far the screen can be scrolled, and the line that can be the first at most.
  range() {
    const lines = Math.max(0, this.lines.count - this.visible());
    const height = Math.min(this.lines.count * LINE, HIGHEST);
    return { lines, height, pixels: Math.max(0, height - this.screen.clientHeight) };
  }

  scrolled() {
    const { pixels } = this.range();
    const atEnd = pixels - this.screen.scrollTop < 2 * LINE;
    // What the log itself scrolls is no reason to do otherwise than before.
    if (Math.abs(this.screen.scrollTop - (this.ours ?? -1)) > 1) this.follow.checked = atEnd;
    this.draw();
  }

  scrollTo(top) {
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
