import { button, slider } from "../dom.js";
import { boxRing, pathOf } from "../geometry.js";
import { contrastLine } from "../paint.js";
import { Tool } from "./tool.js";

/** What the wand and the click tool share: the server proposes an outline, the user keeps it or not. */
class Proposing extends Tool {
  proposal = null; // {rings, rle, ms}
  id = null; // of the object that is being refined, or null for a new one
  running = null;

  options() {
    if (!this.proposal) return [];
    const kept = this.id === null ? "Keep as new" : "Keep";
    return [
      button({ text: kept, title: kept, keys: "Enter", className: "main", onclick: () => this.finish() }),
      button({ text: "Discard", title: "Discard", keys: "Esc", onclick: () => this.cancel() }),
    ];
  }

  /** Ask the server; an older question that is still open is dropped. */
  async ask(question) {
    this.running?.abort();
    const stop = (this.running = new AbortController());
    try {
      const proposal = await question(stop.signal);
      if (stop.signal.aborted) return;
      this.proposal = proposal.rings?.length ? proposal : null;
      if (!this.proposal) this.studio.tell("advice", "Nothing was found there; try another place.");
    } catch (error) {
      if (error.name !== "AbortError") this.studio.tell("advice", error.message);
    } finally {
      if (this.running === stop) this.running = null;
      this.refresh();
    }
  }

  finish() {
    if (!this.proposal) return false;
    const geometry = this.proposal.rle ? { rle: this.proposal.rle } : { rings: this.proposal.rings };
    if (this.id === null) this.edits.add(geometry);
    else this.edits.send({ op: "replace", id: this.id, geometry }, "Replaced");
    this.reset();
    return true;
  }

  cancel() {
    const had = this.proposal !== null || this.running !== null;
    this.reset();
    return had;
  }

  reset() {
    this.running?.abort();
    Object.assign(this, { proposal: null, running: null, id: null });
    this.refresh();
  }

  draw(context, scale) {
    if (!this.proposal) return;
    const path = pathOf(this.proposal.rings);
    context.fillStyle = "rgba(255,209,102,0.3)";
    context.fill(path, "evenodd");
    context.lineWidth = this.reach(2.2);
    context.strokeStyle = "rgba(0,0,0,0.6)";
    context.stroke(path);
    context.lineWidth = this.reach(1.3);
    context.strokeStyle = "#ffd166";
    context.setLineDash([5 / scale, 3 / scale]);
    context.stroke(path);
    context.setLineDash([]);
  }
}

/** Take what looks alike round a point. */
export class Wand extends Proposing {
  title = "Magic wand";
  hint = "Click: what looks alike there is outlined; the tolerance widens it. Enter keeps, Escape discards.";
  point = null;

  options() {
    const oninput = (tolerance) => {
      this.studio.keep({ tolerance });
      if (this.point) this.look();
    };
    return [
      slider({ label: "Tolerance", min: 1, max: 60, step: 1, value: this.studio.kept.tolerance, show: (value) => `${value} %`, oninput }),
      ...super.options(),
    ];
  }

  down(e) {
    if (e.button !== 0) return;
    if (this.proposal && !e.shift) this.finish(); // a click elsewhere keeps and goes on
    this.point = [e.x, e.y];
    this.look();
  }

  look() {
    const { point } = this;
    const tolerance = this.studio.kept.tolerance / 100;
    return this.ask((signal) => this.api.wand(this.studio.image.id, { point, tolerance }, signal));
  }

  /** Wider or narrower by keys. */
  size(tolerance) {
    this.studio.keep({ tolerance: Math.max(1, Math.min(60, tolerance)) });
    if (this.point) this.look();
    this.refresh();
  }

  reset() {
    this.point = null;
    super.reset();
  }
}

/** Points on and off the object, or a box round it; the server outlines it. */
export class Click extends Proposing {
  title = "Click to segment";
  hint = "Click on the object; right or Shift click on what is not of it; drag a box round it. Enter keeps, Backspace takes a point back.";
  points = [];
  box = null;
  from = null;
  now = null;

  down(e) {
    this.from = this.now = e;
    if (!this.points.length && !this.box) this.id = null;
  }

  move(e) {
    if (!this.from) return;
    this.now = e;
    this.stage.ask();
  }

  up(e) {
    const { from } = this;
    this.from = null;
    if (!from || !e) return;
    const off = from.button === 2 || from.shift;
    if (Math.hypot(e.sx - from.sx, e.sy - from.sy) > 6 && !off) {
      this.box = [Math.min(from.x, e.x), Math.min(from.y, e.y), Math.max(from.x, e.x), Math.max(from.y, e.y)];
    } else {
      if (!this.points.length && !this.box && this.only && !off) this.refine(from);
      this.points.push([from.x, from.y, off ? 0 : 1]);
    }
    this.look();
  }

  /** The first click on or near the selected object refines that one. */
  refine(e) {
    const [x1, y1, x2, y2] = this.only.box;
    const margin = Math.max(8, 0.25 * (x2 - x1));
    if (e.x > x1 - margin && e.x < x2 + margin && e.y > y1 - margin && e.y < y2 + margin) this.id = this.only.id;
  }

  look() {
    const body = { points: this.points, class_id: this.studio.classId };
    if (this.box) body.box = this.box;
    if (this.id !== null) body.id = this.id;
    return this.ask((signal) => this.api.click(this.studio.image.id, body, signal));
  }

  back() {
    if (!this.points.length && !this.box) return false;
    if (this.points.length) this.points.pop();
    else this.box = null;
    if (this.points.length || this.box) this.look();
    else this.reset();
    return true;
  }

  reset() {
    Object.assign(this, { points: [], box: null, from: null });
    super.reset();
  }

  hides(id) {
    return this.proposal !== null && id === this.id;
  }

  draw(context, scale) {
    super.draw(context, scale);
    const dragged = this.from && Math.hypot(this.now.sx - this.from.sx, this.now.sy - this.from.sy) > 6;
    const box = dragged ? [this.from.x, this.from.y, this.now.x, this.now.y] : this.box;
    if (box) {
      context.beginPath();
      contrastLine(context, () => {
        const ring = boxRing(box);
        for (let i = 0; i < 8; i += 2) context.lineTo(ring[i], ring[i + 1]);
        context.closePath();
      }, this.reach(1.2), "#ffd166");
    }
    for (const [x, y, on] of this.points) {
      context.beginPath();
      context.arc(x, y, this.reach(5), 0, 2 * Math.PI);
      context.fillStyle = on ? "#2fbf71" : "#e5484d";
      context.fill();
      context.lineWidth = this.reach(1.5);
      context.strokeStyle = "#ffffff";
      context.stroke();
    }
  }
}
