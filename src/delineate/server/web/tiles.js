// The image's tiles: fetched as they come into sight, the newest wish first, the least used forgotten.

import { tile } from "./api.js";

const AT_ONCE = 6; // requests
const KEPT = 320; // bitmaps of 256 x 256: 80 MB

export class Tiles {
  /** @param {function} arrived hears the image box of a tile that has come. */
  constructor(arrived) {
    this.arrived = arrived;
    this.failed = null; // function that hears an error, once an image
    this.open(null, {});
  }

  /** Show another image, or the same otherwise; tiles of the look before stand in until the new ones are there. */
  open(image, look) {
    const same = image !== null && this.image?.id === image.id;
    this.before = same ? this.have : new Map();
    for (const stop of this.running?.values() ?? []) stop.abort();
    this.image = image;
    this.look = { ...look };
    this.have = new Map();
    this.running = new Map();
    this.wanted = [];
    this.broken = new Set();
    this.told = false;
  }

  /** Whether all that was asked for is there. */
  get idle() {
    return this.running.size === 0 && this.wanted.length === 0;
  }

  /** The level whose pixels are nearest to screen pixels, never coarser than them by much. */
  level(scale) {
    const wish = Math.floor(Math.log2(1 / scale) + 0.2);
    return Math.max(0, Math.min(this.image.levels - 1, wish));
  }

  /** Image pixels that a tile of a level spans. */
  span(level) {
    return this.image.tile * 2 ** level;
  }

  /** Columns and rows of the tiles that meet a box: [c1, r1, c2, r2], within the image. */
  range(level, [x1, y1, x2, y2]) {
    const span = this.span(level);
    const most = (size) => Math.ceil(size / span) - 1;
    const at = (value, last) => Math.max(0, Math.min(last, Math.floor(value / span)));
    const [lastColumn, lastRow] = [most(this.image.width), most(this.image.height)];
    return [at(x1, lastColumn), at(y1, lastRow), at(x2, lastColumn), at(y2, lastRow)];
  }

  /** Draw the tiles that meet a box; returns whether all were there. `context` is in image pixels. */
  draw(context, box, scale) {
    if (!this.image) return true;
    const level = this.level(scale);
    const [c1, r1, c2, r2] = this.range(level, box);
    let complete = true;
    for (let r = r1; r <= r2; r++)
      for (let c = c1; c <= c2; c++) {
        const bitmap = this.get(level, c, r);
        if (bitmap) this.put(context, bitmap, level, c, r);
        else {
          complete = false;
          this.standIn(context, level, c, r);
        }
      }
    return complete;
  }

  /** Whether all tiles that meet a box are there. */
  has(box, scale) {
    const level = this.level(scale);
    const [c1, r1, c2, r2] = this.range(level, box);
    for (let r = r1; r <= r2; r++) for (let c = c1; c <= c2; c++) if (!this.have.has(`${level}/${c}/${r}`)) return false;
    return true;
  }

  put(context, bitmap, level, c, r) {
    const zoom = 2 ** level;
    const span = this.span(level);
    const width = Math.min(bitmap.width * zoom, this.image.width - c * span);
    const height = Math.min(bitmap.height * zoom, this.image.height - r * span);
    context.drawImage(bitmap, 0, 0, width / zoom, height / zoom, c * span, r * span, width, height);
  }

  /** A part of a coarser tile, or of the look before, where a tile is not there yet. */
  standIn(context, level, c, r) {
    const before = this.before.get(`${level}/${c}/${r}`);
    if (before) return this.put(context, before, level, c, r);
    for (let up = 1; level + up < this.image.levels; up++) {
      const [uc, ur] = [c >> up, r >> up];
      const key = `${level + up}/${uc}/${ur}`;
      const bitmap = this.have.get(key) ?? this.before.get(key);
      if (!bitmap) continue;
      const part = this.image.tile / 2 ** up;
      const [sx, sy] = [(c - (uc << up)) * part, (r - (ur << up)) * part];
      const [width, height] = [Math.min(part, bitmap.width - sx), Math.min(part, bitmap.height - sy)];
      const zoom = 2 ** (level + up);
      if (width > 0 && height > 0)
        context.drawImage(bitmap, sx, sy, width, height, c * this.span(level), r * this.span(level),
          width * zoom, height * zoom);
      return undefined;
    }
    return undefined;
  }

  get(level, c, r) {
    const key = `${level}/${c}/${r}`;
    const bitmap = this.have.get(key);
    if (bitmap) {
      this.have.delete(key); // to the end: the start is the least used
      this.have.set(key, bitmap);
      return bitmap;
    }
    if (!this.running.has(key) && !this.broken.has(key)) {
      const at = this.wanted.findIndex((wish) => wish.key === key);
      if (at >= 0) this.wanted.splice(at, 1);
      this.wanted.push({ key, level, c, r });
      if (this.wanted.length > 96) this.wanted.shift();
      this.fetchNext();
    }
    return null;
  }

  fetchNext() {
    while (this.running.size < AT_ONCE && this.wanted.length) this.fetch(this.wanted.pop());
  }

  async fetch({ key, level, c, r }) {
    const { image, running, have } = this;
    const stop = new AbortController();
    running.set(key, stop);
    try {
      const bitmap = await tile(image.id, level, c, r, this.look, stop.signal);
      if (this.have !== have) return bitmap.close();
      have.set(key, bitmap);
      if (have.size > KEPT) have.delete(have.keys().next().value);
      const span = this.span(level);
      this.arrived([c * span, r * span, (c + 1) * span, (r + 1) * span]);
    } catch (error) {
      if (error.name !== "AbortError" && this.have === have) {
        this.broken.add(key);
        if (!this.told) this.failed?.(error);
        this.told = true;
      }
    } finally {
      running.delete(key);
      if (this.have === have) this.fetchNext();
    }
    return undefined;
  }
}
