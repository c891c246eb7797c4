// Which tool is in hand.

import { api } from "./api.js";
import { say } from "./dom.js";
import { Brush, Eraser } from "./tools/brush.js";
import { Hole, Polygon } from "./tools/polygon.js";
import { Click, Wand } from "./tools/propose.js";
import { Hand, Select } from "./tools/select.js";
import { Box, Knife } from "./tools/shapes.js";
import { Vertices } from "./tools/vertices.js";

export class Tools {
  constructor(studio, edits, stage) {
    Object.assign(this, { studio, stage });
    const parts = { studio, edits, stage, api };
    const kinds = { select: Select, hand: Hand, polygon: Polygon, brush: Brush, eraser: Eraser, box: Box, click: Click, wand: Wand, knife: Knife, hole: Hole, vertices: Vertices };
    this.all = Object.fromEntries(Object.entries(kinds).map(([name, Kind]) => [name, new Kind(parts)]));
    this.name = "select";
    studio.on("use", (name) => this.use(name));
    studio.on("image", () => this.use(studio.canEdit || !this.now.changes ? this.name : "select"));
  }

  get now() {
    return this.all[this.name];
  }

  /** Take a tool in hand; what was begun with the one before is given up. */
  use(name) {
    this.now.stop();
    const other = name !== this.name;
    this.name = name;
    this.stage.tool = this.now;
    this.now.start();
    this.stage.canvas.style.cursor = this.now.cursor;
    this.studio.tell("tool");
    this.stage.ask();
    if (other) say(`Tool: ${this.now.title}`);
  }
}
