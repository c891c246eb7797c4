// Image and objects as cached pictures of 512 x 512 screen pixels. Panning only copies them; what comes into sight
// or has changed is painted a few milliseconds a frame, so that no frame waits for thousands of objects.

import { meet } from "./geometry.js";
import { paint } from "./paint.js";

const SIDE = 512;
const BUDGET = 8; // ms of painting a frame
const STEPS = { moving: 4, still: 14 }; // of painting a frame: the browser draws after us, on a clock that we do not see
const LATE = 400; // ms without a tile, after which what is there is shown
const MOST = 72; // cached pictures: 1 MB each

export class Scene {
  /** @param {Tiles} tiles of the image, which draw themselves. */
  constructor(studio, tiles) {
    this.studio = studio;
    this.tiles = tiles;
    this.pictures = new Map(); // "i:j" -> picture at the present scale
    this.old = []; // pictures of the scale before: they stand in while the new ones are painted
    this.free = []; // canvases to use again
    this.scale = 0;
    this.work = null; // a picture half painted
    this.painted = 0; // pictures finished so far
    this.partial = new Set(); // pictures painted before all their tiles had come
  }

  /** Forget everything: another image. */
  clear() {
    this.release([...this.pictures.values(), ...this.old]);
    this.pictures = new Map();
    this.old = [];
    this.drop();
  }

  /** Give up the picture that is half painted. */
  drop() {
    if (this.work) this.partial.delete(this.work.picture);
    this.work = null;
  }

  /** Whether all tiles of a picture are there. */
  whole({ i, j, scale }) {
    return this.tiles.has([i, j, i + 1, j + 1].map((value) => (value * SIDE) / scale), scale);
  }

  /** What lies in an image box must be painted anew; null means everything. */
  stale(box = null) {
    for (const picture of this.pictures.values())
      if (!box || meet(this.boxOf(picture), box)) picture.stale = true;
    if (this.work && (!box || meet(this.boxOf(this.work.picture), box))) this.drop();
  }

  /** A tile has come: pictures that have all of theirs now are painted anew, those that wait for more a little later. */
  arrived(box) {
    for (const picture of this.partial) {
      if (!meet(this.boxOf(picture), box)) continue;
      if (!this.whole(picture)) continue;
      picture.stale = true;
      this.partial.delete(picture);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      for (const picture of this.partial) picture.stale = true;
      if (this.partial.size) this.studio.tell("hover"); // draws
      this.partial.clear();
    }, LATE);
  }

  boxOf({ i, j, scale }) {
    const side = SIDE / scale;
    const edge = 4 / scale; // outlines reach over
    return [i * side - edge, j * side - edge, (i + 1) * side + edge, (j + 1) * side + edge];
  }

  /** Draw what is there, then paint within the budget. Returns whether another frame is needed. */
  frame(context, view, moving) {
    if (view.scale !== this.scale) this.rescale(view);
    const [ox, oy] = view.offset;
    const missing = [];
    const seen = new Set();
    const ahead = [];
    const [i1, j1] = [Math.floor(ox / SIDE), Math.floor(oy / SIDE)];
    const [i2, j2] = [Math.floor((ox + view.width - 1) / SIDE), Math.floor((oy + view.height - 1) / SIDE)];
    for (let j = j1 - 1; j <= j2 + 1; j++)
      for (let i = i1 - 1; i <= i2 + 1; i++) {
        const key = `${i}:${j}`;
        const shown = i >= i1 && i <= i2 && j >= j1 && j <= j2;
        const picture = this.pictures.get(key);
        seen.add(key);
        if (shown) {
          if (picture) context.drawImage(picture.canvas, i * SIDE - ox, j * SIDE - oy);
          else this.standIn(context, view, i, j);
        }
        if ((!picture || picture.stale) && this.onImage(i, j)) (shown ? missing : ahead).push({ i, j, key });
      }
    this.forget(seen);
    const centre = [(i1 + i2) / 2, (j1 + j2) / 2];
    const far = ({ i, j }) => Math.hypot(i - centre[0], j - centre[1]);
    missing.sort((a, b) => far(a) - far(b));
    const before = this.painted;
    const done = this.paintSome([...missing, ...ahead], moving ? STEPS.moving : STEPS.still);
    if (!missing.length && this.old.length) this.release(this.old.splice(0));
    return !done || this.painted !== before; // what was finished now is drawn by the next frame
  }

  /** Whether a picture shows a part of the image. */
  onImage(i, j) {
    const { image } = this.studio;
    if (!image) return false;
    const side = SIDE / this.scale;
    return (i + 1) * side > 0 && (j + 1) * side > 0 && i * side < image.width && j * side < image.height;
  }

  /** Another zoom: what was painted stands in, scaled. */
  rescale(view) {
    const all = [...this.pictures.values()];
    if (this.old.length && all.length < 4) this.release(all);
    else {
      this.release(this.old);
      this.old = all;
    }
    this.pictures = new Map();
    this.drop();
    this.partial.clear();
    this.scale = view.scale;
  }

  standIn(context, view, i, j) {
    const [ox, oy] = view.offset;
    const [x, y] = [i * SIDE - ox, j * SIDE - oy];
    const box = [i * SIDE, j * SIDE, (i + 1) * SIDE, (j + 1) * SIDE].map((value) => value / this.scale);
    const found = this.old.filter((old) => meet(this.boxOf(old), box));
    if (!found.length) return;
    context.save();
    context.beginPath();
    context.rect(x, y, SIDE, SIDE);
    context.clip();
    context.imageSmoothingEnabled = false; // quick, and there for a moment only
    for (const old of found) {
      const zoom = this.scale / old.scale;
      const side = SIDE * zoom;
      context.drawImage(old.canvas, old.i * side - ox, old.j * side - oy, side, side);
    }
    context.restore();
  }

  /** Paint pictures in turn until the time or the steps are spent; returns whether all are done. */
  paintSome(wanted, steps) {
    const end = performance.now() + BUDGET;
    if (this.work && !wanted.some(({ key }) => key === this.work.key)) this.drop();
    for (let left = steps; left > 0 && performance.now() < end; left--) {
      if (!this.work) {
        const next = wanted.find(({ key }) => !this.pictures.has(key) || this.pictures.get(key).stale);
        if (!next) return true;
        this.work = this.begin(next);
      }
      if (!this.work.steps.next().done) continue;
      const { key, picture } = this.work;
      const before = this.pictures.get(key);
      if (before) this.release([before]);
      this.pictures.set(key, picture);
      this.painted++;
      this.work = null;
    }
    return !wanted.some(({ key }) => !this.pictures.has(key) || this.pictures.get(key).stale);
  }

  begin({ i, j, key }) {
    const canvas = this.free.pop() ?? Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    const picture = { i, j, scale: this.scale, canvas, stale: false };
    return { key, picture, steps: this.steps(picture) };
  }

  /** Paint one picture, a handful of objects a step. */
  *steps(picture) {
    const { i, j, scale, canvas } = picture;
    const { studio } = this;
    const context = (canvas.context ??= canvas.getContext("2d", { alpha: false }));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = studio.ground;
    context.fillRect(0, 0, SIDE, SIDE);
    context.setTransform(scale, 0, 0, scale, -i * SIDE, -j * SIDE);
    context.imageSmoothingEnabled = scale < 1.5 || studio.kept.smooth;
    const side = SIDE / scale;
    const box = [i * side, j * side, (i + 1) * side, (j + 1) * side];
    if (!this.tiles.draw(context, box, scale)) this.partial.add(picture);
    yield;
    if (!studio.kept.shown) return;
    const edge = 4 / scale;
    const objects = studio.objects.within([box[0] - edge, box[1] - edge, box[2] + edge, box[3] + edge]);
    yield;
    yield* paint(context, studio, objects, scale);
  }

  /** Keep the number of pictures in bounds: far ones go first. */
  forget(seen) {
    if (this.pictures.size <= MOST) return;
    for (const [key, picture] of this.pictures) {
      if (seen.has(key)) continue;
      this.pictures.delete(key);
      this.release([picture]);
      if (this.pictures.size <= MOST * 0.75) return;
    }
  }

  release(pictures) {
    for (const picture of pictures) {
      this.partial.delete(picture);
      if (this.free.length < 24) this.free.push(picture.canvas);
    }
  }
}
