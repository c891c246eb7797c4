// The canvas: its size, its frames, and what lies over the cached pictures: selection, tool, cross.

import { colourOf, faded } from "./paint.js";
import { Scene } from "./scene.js";
import { Tiles } from "./tiles.js";
import { toast } from "./dom.js";

const GLOW = 900; // ms that others' changes glow
const SETTLED = 150; // ms after which the view no longer counts as moving
const SEEN = new Set(["fill", "outline", "colours", "shown", "smooth", "theme", "threshold"]); // settings that change pictures

export class Stage {
  constructor(studio, canvas) {
    this.studio = studio;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.tiles = new Tiles((box) => {
      this.scene.arrived(box);
      this.ask();
    });
    this.tiles.failed = (error) => toast(`The image cannot be shown. ${error.message}`, { kind: "bad", seconds: 0 });
    this.scene = new Scene(studio, this.tiles);
    this.tool = null;
    this.cross = null; // [x, y] in image pixels while keys move it
    this.glowing = new Map(); // id -> time
    this.frames = 0;
    this.movedAt = 0; // when the view last moved
    this.asked = false;
    this.listen();
  }

  listen() {
    const { studio } = this;
    new ResizeObserver(() => this.resize()).observe(this.canvas.parentElement);
    studio.on("image", () => {
      this.scene.clear();
      this.cross = null;
      this.glowing.clear();
      this.tiles.open(studio.image, this.look);
      this.ask();
    });
    studio.on("picture", () => {
      this.tiles.open(studio.image, this.look);
      this.anew();
    });
    studio.on("objects", ({ box }) => {
      if (box) this.scene.stale(box);
      this.ask();
    });
    studio.on("view", () => (this.movedAt = performance.now()));
    studio.on("selection view hover", () => this.ask());
    studio.on("kept", (change) => Object.keys(change).some((key) => SEEN.has(key)) && this.anew());
    studio.on("filter project", () => this.anew());
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.anew());
  }

  get look() {
    const { channel, lo, hi, gamma } = this.studio.picture;
    return { channel, lo, hi, gamma };
  }

  resize() {
    const { canvas, studio } = this;
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = canvas.parentElement;
    const [width, height] = [Math.max(1, Math.round(clientWidth * ratio)), Math.max(1, Math.round(clientHeight * ratio))];
    if (canvas.width === width && canvas.height === height) return;
    const first = studio.view.width === 1;
    Object.assign(canvas, { width, height });
    Object.assign(studio.view, { width, height });
    if (first && studio.image) studio.view.fit([0, 0, studio.image.width, studio.image.height], 0.04, 8);
    this.draw();
    studio.tell("view");
  }

  /** Whether the canvas shows all there is: every tile has come and every picture is painted. */
  get idle() {
    return !this.asked && this.tiles.idle && this.scene.work === null && this.scene.partial.size === 0;
  }

  /** Paint everything anew. */
  anew() {
    this.studio.ground = getComputedStyle(document.documentElement).getPropertyValue("--stage").trim();
    this.scene.stale();
    this.ask();
  }

  /** Draw at the next frame. */
  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    const { studio, context } = this;
    const { view, image } = studio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = studio.ground;
    context.fillRect(0, 0, view.width, view.height);
    this.frames++;
    if (!image) return;
    const left = this.scene.frame(context, view, performance.now() - this.movedAt < SETTLED);
    const [ox, oy] = view.offset;
    context.setTransform(view.scale, 0, 0, view.scale, -ox, -oy);
    this.frameOf(image);
    const glowing = this.drawGlow();
    if (studio.kept.shown) this.drawSelection();
    this.tool?.draw(context, view.scale);
    if (this.cross) this.drawCross();
    if (left || glowing) this.ask();
  }

  frameOf(image) {
    const { context, studio } = this;
    context.lineWidth = 1 / studio.view.scale;
    context.strokeStyle = "rgba(128,138,146,0.5)";
    context.strokeRect(0, 0, image.width, image.height);
  }

  drawSelection() {
    const { context, studio } = this;
    const { scale } = studio.view;
    const box = studio.view.box;
    const wide = (2.4 * (window.devicePixelRatio || 1)) / scale;
    const hovered = studio.hovered !== null && !studio.selected.has(studio.hovered) && studio.objects.get(studio.hovered);
    if (hovered) {
      context.fillStyle = faded(colourOf(studio, hovered), 0.25);
      context.fill(studio.objects.path(hovered, scale), "evenodd");
    }
    const many = studio.selected.size > 300;
    for (const object of studio.chosen) {
      const [x1, y1, x2, y2] = object.box;
      if (x2 < box[0] || y2 < box[1] || x1 > box[2] || y1 > box[3] || this.tool?.hides?.(object.id)) continue;
      if (many) {
        context.lineWidth = wide / 2;
        context.strokeStyle = "#ffffff";
        context.strokeRect(x1, y1, x2 - x1, y2 - y1);
      } else this.outline(object, wide);
    }
  }

  /** The outline of a selected object: white on dark, with its own colour within. */
  outline(object, wide) {
    const { context, studio } = this;
    const path = studio.objects.path(object, studio.view.scale);
    context.lineJoin = "round";
    context.lineWidth = wide * 2;
    context.strokeStyle = "rgba(0,0,0,0.6)";
    context.stroke(path);
    context.lineWidth = wide;
    context.strokeStyle = "#ffffff";
    context.stroke(path);
    context.fillStyle = faded(colourOf(studio, object), 0.18);
    context.fill(path, "evenodd");
  }

  /** Let objects glow for a moment: someone else changed them. */
  glow(ids) {
    for (const id of ids) this.glowing.set(id, performance.now());
    this.ask();
  }

  drawGlow() {
    const now = performance.now();
    for (const [id, since] of this.glowing) {
      const object = this.studio.objects.get(id);
      const left = 1 - (now - since) / GLOW;
      if (left <= 0 || !object) this.glowing.delete(id);
      else {
        this.context.fillStyle = `rgba(255,255,255,${0.6 * left})`;
        this.context.fill(this.studio.objects.path(object, this.studio.view.scale), "evenodd");
      }
    }
    return this.glowing.size > 0;
  }

  drawCross() {
    const { context, studio } = this;
    const [x, y] = this.cross;
    const unit = (window.devicePixelRatio || 1) / studio.view.scale;
    for (const [colour, width] of [["rgba(0,0,0,0.7)", 3.5], ["#ffffff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * unit;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * dx * unit, y + 4 * dy * unit);
        context.lineTo(x + 14 * dx * unit, y + 14 * dy * unit);
      }
      context.stroke();
    }
  }
}
