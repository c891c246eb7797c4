// The objects of the open image: found by place, drawn from cached paths, replaced when the server says so.

import { boxOf, meet, pathOf, thinned, union, within } from "./geometry.js";

const MOST_CELLS = 64; // of the grid that finds objects, along each side

export class Objects {
  constructor() {
    this.put({ revision: 0, objects: [] }, { width: 1, height: 1 });
  }

  /** Start anew with an image's objects. */
  put({ revision, objects }, { width, height }) {
    this.revision = revision;
    this.all = new Map();
    this.cell = Math.max(32, Math.max(width, height) / MOST_CELLS);
    this.cells = new Map();
    this.paths = new Map(); // id -> {gap, path, points, version}
    for (const object of objects) this.add(object);
  }

  get size() {
    return this.all.size;
  }

  get(id) {
    return this.all.get(id);
  }

  values() {
    return this.all.values();
  }

  add(object) {
    const box = object.box ?? boxOf(object.rings);
    const kept = { ...object, box };
    this.all.set(object.id, kept);
    for (const key of this.keys(box)) {
      if (!this.cells.has(key)) this.cells.set(key, new Set());
      this.cells.get(key).add(object.id);
    }
  }

  drop(id) {
    const object = this.all.get(id);
    if (!object) return null;
    for (const key of this.keys(object.box)) this.cells.get(key)?.delete(id);
    this.all.delete(id);
    this.paths.delete(id);
    return object;
  }

  /**
   * Take over newer objects; what was overtaken on its way changes nothing, or it would bring back what was deleted
   * since. Returns the box to draw anew, or null.
   */
  take(changed, removed, revision) {
    if (revision < this.revision) return null;
    let box = null;
    const mark = (object) => {
      if (object) box = box ? union(box, object.box) : object.box;
    };
    for (const object of changed) {
      const known = this.all.get(object.id);
      if (known && known.version > object.version) continue;
      mark(this.drop(object.id));
      this.add(object);
      mark(this.all.get(object.id));
    }
    for (const id of removed) mark(this.drop(id));
    if (revision > this.revision) this.revision = revision;
    return box;
  }

  *keys([x1, y1, x2, y2]) {
    const at = (value) => Math.max(-1, Math.min(MOST_CELLS + 1, Math.floor(value / this.cell)));
    for (let j = at(y1); j <= at(y2); j++) for (let i = at(x1); i <= at(x2); i++) yield j * 256 + i;
  }

  /** Objects whose boxes meet a box, lowest first: by order, then by area, so that small ones lie on large ones. */
  within(box) {
    const found = new Map();
    for (const key of this.keys(box))
      for (const id of this.cells.get(key) ?? []) {
        if (found.has(id)) continue;
        const object = this.all.get(id);
        if (meet(object.box, box)) found.set(id, object);
      }
    return [...found.values()].sort((a, b) => a.z - b.z || b.area - a.area || a.id - b.id);
  }

  /** Objects under a point, topmost first. */
  at(x, y, shown) {
    return this.within([x, y, x, y])
      .filter((object) => (!shown || shown(object)) && within(object.rings, x, y))
      .reverse();
  }

  /** The path of an object, coarse where a screen pixel spans several image pixels. */
  path(object, scale) {
    return this.drawn(object, scale).path;
  }

  /** The path, and how many points it has: {path, points}. */
  drawn(object, scale) {
    const gap = scale >= 0.75 ? 0 : 2 ** Math.floor(Math.log2(1 / scale));
    const known = this.paths.get(object.id);
    if (known && known.gap === gap && known.version === object.version) return known;
    const rings = gap ? object.rings.map((ring) => thinned(ring, gap)) : object.rings;
    const points = rings.reduce((sum, ring) => sum + ring.length / 2, 0);
    const made = { gap, path: pathOf(rings), points, version: object.version };
    this.paths.set(object.id, made);
    return made;
  }
}
