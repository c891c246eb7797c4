import { contrastLine } from "../paint.js";
import { Tool } from "./tool.js";

/** What two tools share that drag from one point to another. */
class Drag extends Tool {
  drags = true;
  from = null;
  now = null;

  down(e) {
    if (e.button !== 0) return;
    this.from = this.now = e;
    this.path = [[e.x, e.y]];
  }

  move(e) {
    if (!this.from) return;
    this.now = e;
    const [x, y] = this.path.at(-1);
    if (Math.hypot(e.x - x, e.y - y) > this.reach(3)) this.path.push([e.x, e.y]);
    this.stage.ask();
  }

  up(e) {
    const { from, path } = this;
    this.cancel();
    if (!from || !e || Math.hypot(e.sx - from.sx, e.sy - from.sy) < 4) return;
    if (e.x !== path.at(-1)[0] || e.y !== path.at(-1)[1]) path.push([e.x, e.y]);
    this.take(from, e, path);
  }

  cancel() {
    const had = this.from !== null;
    this.from = null;
    this.stage.ask();
    return had;
  }
}

/** Draw a box. */
export class Box extends Drag {
  title = "Box";
  hint = "Drag from corner to corner. To turn a box into an outline, drag it with the click tool instead.";

  take(a, b) {
    this.edits.add({ box: [Math.min(a.x, b.x), Math.min(a.y, b.y), Math.max(a.x, b.x), Math.max(a.y, b.y)] });
  }

  draw(context) {
    if (!this.from) return;
    const { from, now } = this;
    context.beginPath();
    contrastLine(context, () => context.rect(from.x, from.y, now.x - from.x, now.y - from.y), this.reach(1.5));
  }
}

/** Split objects in two along a line. */
export class Knife extends Drag {
  title = "Split";
  hint = "Drag a line, straight or curved, across the object; it falls in two where the line crosses it.";

  async take(_, __, path) {
    const targets = this.targets(path);
    if (!targets.length) return this.studio.tell("advice", "The line crosses no object.");
    const parts = [];
    for (const { id } of targets) {
      const answer = await this.edits.send({ op: "split", id, line: path }, "Split");
      parts.push(...(answer?.changed ?? []).map((object) => object.id));
    }
    return this.studio.select(parts);
  }

  /** Selected objects, or else the one that most of the line lies in. */
  targets(path) {
    const { studio } = this;
    if (studio.selected.size) return studio.chosen;
    const counts = new Map();
    for (let i = 1; i < path.length; i++)
      for (let t = 0; t < 1; t += 0.25) {
        const [x, y] = [0, 1].map((k) => path[i - 1][k] + t * (path[i][k] - path[i - 1][k]));
        for (const object of studio.objects.at(x, y, studio.filter)) counts.set(object, (counts.get(object) ?? 0) + 1);
      }
    const most = [...counts].sort((a, b) => b[1] - a[1])[0];
    return most ? [most[0]] : [];
  }

  draw(context) {
    if (!this.from) return;
    context.beginPath();
    contrastLine(context, () => {
      for (const [x, y] of [...this.path, [this.now.x, this.now.y]]) context.lineTo(x, y);
    }, this.reach(1.8), "#ffd166");
  }
}
