import { slider } from "../dom.js";
import { faded, colourOf } from "../paint.js";
import { Tool } from "./tool.js";

const APART = 0.25; // of the radius between two points of a stroke

/** Paint onto the selected object, or a new one where none is selected. */
export class Brush extends Tool {
  title = "Brush";
  hint = "Paint onto the selected object; with none selected a new one. Alt erases, [ and ] change the size, Shift starts a new object.";
  cursor = "none";
  drags = true;
  erases = false;
  stroke = null;
  sent = new Set(); // strokes whose answer is awaited: shown until then
  now = null;

  get radius() {
    return this.studio.kept.radius;
  }

  options() {
    const show = (value) => `${value} px`;
    const oninput = (radius) => this.size(radius);
    this.slider = slider({ label: "Radius", min: 1, max: 100, step: 1, value: this.radius, show, oninput });
    return [this.slider];
  }

  size(radius) {
    this.studio.keep({ radius: Math.max(0.5, Math.min(200, Math.round(radius * 2) / 2)) });
    this.slider?.set(this.radius);
    this.stage.ask();
  }

  down(e) {
    if (e.button !== 0) return;
    const erase = this.erases !== e.alt;
    const target = e.shift ? null : this.target(e, erase);
    if (erase && !target) {
      this.studio.tell("advice", "Select the object to erase from, or start on one.");
      return;
    }
    this.stroke = { points: [[e.x, e.y]], radius: this.radius, erase, target };
    this.stage.ask();
  }

  target(e, erase) {
    if (this.only) return this.only;
    return erase ? (this.studio.objects.at(e.x, e.y, this.studio.filter)[0] ?? null) : null;
  }

  move(e) {
    this.now = e;
    if (this.stroke) {
      const [x, y] = this.stroke.points.at(-1);
      if (Math.hypot(e.x - x, e.y - y) >= Math.max(0.5, this.radius * APART)) this.stroke.points.push([e.x, e.y]);
    }
    this.stage.ask();
  }

  async up(e) {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke) return;
    const [x, y] = stroke.points.at(-1);
    if (e && (e.x !== x || e.y !== y)) stroke.points.push([e.x, e.y]);
    this.sent.add(stroke);
    const { points, radius, erase, target } = stroke;
    if (target) await this.edits.send({ op: "brush", id: target.id, points, radius, erase }, erase ? "Erased" : "Painted");
    else await this.edits.add({ stroke: { points, radius } });
    this.sent.delete(stroke);
    this.stage.ask();
  }

  cancel() {
    const had = this.stroke !== null;
    this.stroke = null;
    this.stage.ask();
    return had;
  }

  stop() {
    this.cancel();
    this.now = null;
  }

  draw(context, scale) {
    for (const stroke of this.sent) this.trace(context, stroke);
    if (this.stroke) this.trace(context, this.stroke);
    const at = this.stage.cross ?? (this.now && [this.now.x, this.now.y]);
    if (!at) return;
    for (const [colour, width] of [["rgba(0,0,0,0.6)", 3], ["#ffffff", 1.2]]) {
      context.lineWidth = width / scale;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(at[0], at[1], this.radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  trace(context, { points, radius, erase, target }) {
    const { studio } = this;
    const colour = target ? colourOf(studio, target) : colourOf(studio, { class_id: studio.classId, score: null, id: 1 });
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * radius;
    context.strokeStyle = erase ? "rgba(20,20,20,0.5)" : faded(colour, 0.55);
    context.beginPath();
    context.moveTo(...points[0]);
    for (const [x, y] of points) context.lineTo(x, y);
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    context.stroke();
  }
}

/** Take away from the selected object. */
export class Eraser extends Brush {
  title = "Eraser";
  hint = "Erase from the selected object, or from the one where you start. Alt paints, [ and ] change the size.";
  erases = true;
}
