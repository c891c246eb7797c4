import { tick } from "../dom.js";
import { contrastLine } from "../paint.js";
import { Wire } from "../wire.js";
import { Tool } from "./tool.js";

const NEAR = 9; // screen pixels from the first point that close the outline
const APART = 3; // screen pixels between points drawn freehand

/** Draw an outline: point by point, freehand while the button is down, or along edges. */
export class Polygon extends Tool {
  title = "Polygon";
  hint = "Click points or drag freehand; Enter, a double click or the first point closes; Backspace takes one back.";
  points = [];
  steps = []; // numbers of points that each step added
  held = false;
  now = null;
  wire = null; // the way along edges from the last point

  get snaps() {
    return this.studio.kept.snaps ?? false;
  }

  options() {
    return [tick({ label: "Snap to edges (A)", value: this.snaps, onchange: (snaps) => this.snap(snaps) })];
  }

  snap(snaps = !this.snaps) {
    this.studio.keep({ snaps });
    this.wire = null;
    if (snaps && this.points.length) this.anchor();
    this.refresh();
  }

  down(e) {
    if (e.button !== 0) return;
    if (this.points.length > 2 && this.isFirst(e)) {
      this.finish();
      return;
    }
    this.held = true;
    this.push(this.wayTo(e));
    this.anchor();
    this.now = e;
    this.stage.ask();
  }

  move(e) {
    this.now = e;
    const last = this.points.at(-1);
    if (this.held && !this.snaps && Math.hypot(e.x - last[0], e.y - last[1]) > this.reach(APART)) this.push([[e.x, e.y]], true);
    this.stage.ask();
  }

  up() {
    this.held = false;
    this.free = false;
  }

  double() {
    this.back(); // the second press of the double click
    this.finish();
  }

  /** Add points; those drawn freehand are one step to take back. */
  push(points, free = false) {
    this.points.push(...points);
    if (free && this.free) this.steps[this.steps.length - 1] += points.length;
    else this.steps.push(points.length);
    this.free = free;
  }

  /** The first point, and the last of every step: those that are shown as dots. */
  get ends() {
    let at = -1;
    return [this.points[0], ...this.steps.map((count) => this.points[(at += count)])];
  }

  isFirst(e) {
    const [x, y] = this.points[0];
    return Math.hypot(e.x - x, e.y - y) < this.reach(NEAR);
  }

  /** Points from the last one to here: along edges, or straight. */
  wayTo(e) {
    return this.snaps && this.wire ? this.wire.to(e.x, e.y) : [[e.x, e.y]];
  }

  anchor() {
    this.wire = this.snaps ? new Wire(this.stage, this.points.at(-1)) : null;
  }

  back() {
    if (!this.points.length) return false;
    this.points.splice(-this.steps.pop());
    if (this.points.length) this.anchor();
    this.stage.ask();
    return true;
  }

  finish() {
    if (!this.points.length) return false;
    const points = this.points;
    this.cancel();
    if (points.length > 2) this.take(points.flat());
    return true;
  }

  take(ring) {
    this.edits.add({ rings: [ring] });
  }

  cancel() {
    const had = this.points.length > 0;
    Object.assign(this, { points: [], steps: [], held: false, free: false, wire: null });
    this.stage.ask();
    return had;
  }

  draw(context, scale) {
    if (!this.points.length) return;
    const wide = this.reach(1.5);
    const way = this.now && !this.held ? this.wayTo(this.now) : [];
    context.beginPath();
    contrastLine(context, () => {
      for (const [x, y] of [...this.points, ...way]) context.lineTo(x, y);
    }, wide);
    const dot = this.reach(3);
    for (const [x, y] of this.ends) {
      context.fillStyle = "#ffffff";
      context.strokeStyle = "rgba(0,0,0,0.7)";
      context.lineWidth = 1 / scale;
      context.beginPath();
      context.arc(x, y, dot, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }
}

/** Cut a hole of any outline into the selected object. */
export class Hole extends Polygon {
  title = "Hole";
  hint = "Select an object, then outline the hole; Enter or the first point closes it.";

  take(ring) {
    const { studio } = this;
    const target = this.only ?? studio.objects.at(ring[0], ring[1], studio.filter)[0];
    if (!target) return this.studio.tell("advice", "Start the hole within an object, or select the object first.");
    return this.edits.send({ op: "hole", id: target.id, rings: [ring] }, "Hole cut");
  }
}
