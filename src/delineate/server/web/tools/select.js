import { boxRing, shifted, pathOf } from "../geometry.js";
import { contrastLine } from "../paint.js";
import { Tool } from "./tool.js";

const SLACK = 4; // screen pixels of movement that are still a click

/** Pick objects, several by a frame, and move them. */
export class Select extends Tool {
  title = "Select and move";
  hint = "Click an object; Shift adds; drag moves it; drag on the ground frames several; click again for what lies below.";
  cursor = "default";
  changes = false;
  press = null;

  down(e) {
    const under = this.studio.objects.at(e.x, e.y, this.studio.filter);
    const hit = under.find((object) => this.studio.selected.has(object.id)) ?? under[0] ?? null;
    const held = hit && this.studio.selected.has(hit.id);
    this.press = { e, now: e, hit, held, under, moved: false };
    if (hit && !held) this.studio.select([hit.id], { add: e.shift });
  }

  move(e) {
    if (!this.press) return this.hover(e);
    const { e: from } = this.press;
    this.press.now = e;
    if (Math.hypot(e.sx - from.sx, e.sy - from.sy) > SLACK) this.press.moved = true;
    return this.stage.ask();
  }

  hover(e) {
    const hovered = this.studio.objects.at(e.x, e.y, this.studio.filter)[0]?.id ?? null;
    if (hovered === this.studio.hovered) return;
    this.studio.hovered = hovered;
    this.studio.tell("hover");
  }

  up() {
    const { press, studio } = this;
    this.press = null;
    if (!press) return;
    const [dx, dy] = [press.now.x - press.e.x, press.now.y - press.e.y];
    if (!press.moved) this.click(press);
    else if (!press.hit) this.frame(press);
    else if (studio.canEdit)
      this.edits.send({ op: "move", ids: [...studio.selected], dx: Math.round(dx), dy: Math.round(dy) }, "Moved");
    this.stage.ask();
  }

  click({ e, hit, held, under }) {
    const { studio } = this;
    if (!hit) {
      if (!e.shift) studio.select([]);
    } else if (held && e.shift) studio.select([hit.id], { add: true });
    else if (held && under.length > 1) {
      const next = under[(under.indexOf(hit) + 1) % under.length];
      studio.select([next.id]);
    }
  }

  frame({ e, now }) {
    const box = [Math.min(e.x, now.x), Math.min(e.y, now.y), Math.max(e.x, now.x), Math.max(e.y, now.y)];
    const { studio } = this;
    const inside = studio.objects.within(box).filter(({ box: [x1, y1, x2, y2] }) =>
      x1 >= box[0] && y1 >= box[1] && x2 <= box[2] && y2 <= box[3]);
    const shown = inside.filter((object) => !studio.filter || studio.filter(object));
    studio.select(e.shift ? [...new Set([...studio.selected, ...shown.map(({ id }) => id)])] : shown.map(({ id }) => id));
  }

  double() {
    if (this.only && this.studio.canEdit) this.studio.tell("use", "vertices");
  }

  cancel() {
    if (this.press) {
      this.press = null;
      this.stage.ask();
      return true;
    }
    if (!this.studio.selected.size) return false;
    this.studio.select([]);
    return true;
  }

  /** The selection stays when another tool is taken in hand. */
  stop() {
    this.press = null;
  }

  draw(context, scale) {
    if (!this.press?.moved) return;
    const { e, now, hit } = this.press;
    const wide = this.reach(1.5);
    if (!hit) {
      context.beginPath();
      context.setLineDash([4 / scale, 3 / scale]);
      contrastLine(context, () => context.rect(e.x, e.y, now.x - e.x, now.y - e.y), wide);
      context.setLineDash([]);
    } else if (this.studio.canEdit) {
      const [dx, dy] = [Math.round(now.x - e.x), Math.round(now.y - e.y)];
      context.lineWidth = wide;
      context.strokeStyle = "#ffffff";
      for (const object of this.studio.chosen.slice(0, 200)) {
        const rings = this.studio.selected.size > 20 ? [boxRing(object.box)] : object.rings;
        context.stroke(pathOf(shifted(rings, dx, dy)));
      }
    }
  }
}

/** Move the view. */
export class Hand extends Tool {
  title = "Move the view";
  hint = "Drag to move the view. In every tool: middle button, or hold Space and drag.";
  cursor = "grab";
  changes = false;
  pans = true;
}
