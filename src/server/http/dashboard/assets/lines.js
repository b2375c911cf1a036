// Cache of a log's lines: fetches blocks of lines from the server as they come into view, and forgets those that were
// used longest ago.

// Lines of a block.
const BLOCK = 200;
// Blocks that are kept.
const BLOCKS = 20;
// Pause between two questions for the length of the log, in milliseconds.
const PAUSE = 100;

const pause = (millis) => new Promise((done) => setTimeout(done, millis));

export class Lines {
  // Calls `changed` whenever there is more to show.
  constructor(run, changed) {
    this.address = `/operator/v1/runs/${run}/log/rows`;
    this.changed = changed;
    this.blocks = new Map();
    this.loading = new Set();
    this.count = 0;
    this.bytes = 0;
    this.revision = 0;
    this.wanted = false;
    this.looking = false;
  }

  // Returns a rendered line; `undefined` while its block is being fetched.
  line(number) {
    const block = Math.floor(number / BLOCK);
    const known = this.blocks.get(block);
    if (known) {
      // A map keeps the order of insertion, so the block used last comes last.
      this.blocks.delete(block);
      this.blocks.set(block, known);
    }
    if (!known || known.old) this.load(block);
    return known?.lines[number % BLOCK];
  }

  // Asks for the present length of the log. One question at a time; the next one covers all calls that came meanwhile.
  async look() {
    this.wanted = true;
    if (this.looking) return;
    this.looking = true;
    while (this.wanted) {
      this.wanted = false;
      const answer = await this.ask(0, 0);
      if (answer) this.take(answer);
      await pause(PAUSE);
    }
    this.looking = false;
  }

  // A new revision means that text was taken back, so that any block may be outdated; an append changes only the last one.
  take({ lines, bytes, revision }) {
    if (revision !== this.revision) this.blocks.forEach((block) => (block.old = true));
    else if (bytes !== this.bytes) this.outdate(Math.floor(Math.max(0, this.count - 1) / BLOCK));
    [this.count, this.bytes, this.revision] = [lines, bytes, revision];
    this.changed();
  }

  outdate(number) {
    const block = this.blocks.get(number);
    if (block) block.old = true;
  }

  async load(number) {
    if (this.loading.has(number)) return;
    this.loading.add(number);
    const { count, bytes } = this;
    const lines = await this.read(number * BLOCK, BLOCK);
    this.loading.delete(number);
    if (!lines) return;
    // The last block may have grown while it was on its way.
    const isLast = number >= Math.floor(Math.max(0, count - 1) / BLOCK);
    this.blocks.set(number, { lines, old: isLast && bytes !== this.bytes });
    for (const oldest of this.blocks.keys()) {
      if (this.blocks.size <= BLOCKS) break;
      this.blocks.delete(oldest);
    }
    this.changed();
  }

  // Reads `limit` lines, in as many responses as they need: the bytes of one are bounded.
  async read(first, limit) {
    const found = [];
    while (found.length < limit) {
      const answer = await this.ask(first + found.length, limit - found.length);
      if (!answer) return undefined;
      found.push(...answer.rows);
      if (answer.rows.length === 0 || first + found.length >= answer.lines) break;
    }
    return found;
  }

  async ask(from, limit) {
    try {
      const answer = await fetch(`${this.address}?from=${from}&limit=${limit}`, { cache: "no-store" });
      return answer.ok ? await answer.json() : undefined;
    } catch {
      // The server cannot be reached; the lines are asked for again once the connection is back.
      return undefined;
    }
  }
}
