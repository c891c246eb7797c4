import { nearestEdge, nearestPoint, pathOf, simplified } from "../geometry.js";
import { Tool } from "./tool.js";

const NEAR = 8; // screen pixels from a point that take it
const COARSE = 0.75; // image pixels that a mask's outline may give way to have fewer points

/** Move, add and remove the points of the selected object's outline. */
export class Vertices extends Tool {
  title = "Points";
  hint = "Drag a point; drag an edge to add one; Alt click or Delete removes one. Click another object to go on there.";
  cursor = "default";
  drags = true;
  id = null;
  rings = null;
  held = null; // {ring, point}
  over = null;

  start() {
    this.load();
  }

  /** Take the selected object's outline: a mask's is made of few points first. */
  load() {
    const object = this.only;
    this.id = object?.id ?? null;
    this.version = object?.version;
    this.held = this.over = null;
    const coarse = object && (object.kind === "mask" || object.rings.some((ring) => ring.length > 400));
    this.rings = object ? object.rings.map((ring) => (coarse ? simplified(ring, COARSE) : [...ring])) : null;
    this.stage.ask();
  }

  fresh() {
    if (this.held) return;
    if ((this.only?.id ?? null) !== this.id || this.only?.version !== this.version) this.load();
  }

  down(e) {
    if (e.button !== 0) return;
    this.fresh();
    const taken = this.rings && this.grip(e);
    if (taken && e.alt) this.remove(taken);
    else if (taken) this.held = taken;
    else {
      const hit = this.studio.objects.at(e.x, e.y, this.studio.filter)[0];
      this.studio.select(hit ? [hit.id] : []);
      this.load();
    }
  }

  /** The point under the pointer; on an edge a new one. */
  grip(e) {
    const point = nearestPoint(this.rings, e.x, e.y);
    if (point.distance < this.reach(NEAR)) return point;
    const edge = nearestEdge(this.rings, e.x, e.y);
    if (edge.distance > this.reach(NEAR * 0.75) || e.alt) return null;
    this.rings[edge.ring].splice(2 * edge.edge + 2, 0, edge.x, edge.y);
    return { ring: edge.ring, point: edge.edge + 1 };
  }

  move(e) {
    this.now = e;
    if (this.held) {
      const { ring, point } = this.held;
      this.rings[ring].splice(2 * point, 2, e.x, e.y);
      this.moved = true;
    } else if (this.rings) {
      const point = nearestPoint(this.rings, e.x, e.y);
      this.over = point.distance < this.reach(NEAR) ? point : null;
    }
    this.stage.ask();
  }

  up() {
    const { held, moved } = this;
    this.held = null;
    this.moved = false;
    if (held && moved) this.save("Point moved");
  }

  remove({ ring, point }) {
    if (this.rings[ring].length > 6) this.rings[ring].splice(2 * point, 2);
    else if (this.rings.length > 1) this.rings.splice(ring, 1);
    else {
      this.studio.tell("advice", "An outline needs three points; delete the object instead.");
      return;
    }
    this.over = null;
    this.save("Point removed");
  }

  async save(said) {
    const { id } = this;
    const answer = await this.edits.send({ op: "replace", id, geometry: { rings: this.rings } }, said);
    if (!answer) this.load();
    else if (this.id === id) this.version = this.studio.objects.get(id)?.version; // our own points stay as they are
  }

  back() {
    const taken = this.over ?? (this.stage.cross && this.rings ? this.nearCross() : null);
    if (!taken) return false;
    this.remove(taken);
    return true;
  }

  nearCross() {
    const point = nearestPoint(this.rings, ...this.stage.cross);
    return point.distance < this.reach(NEAR * 1.5) ? point : null;
  }

  cancel() {
    if (!this.held) return false;
    this.load();
    return true;
  }

  stop() {
    this.held = this.rings = this.id = null;
  }

  hides(id) {
    return this.rings !== null && id === this.id;
  }

  draw(context, scale) {
    this.fresh();
    if (!this.rings) return;
    const path = pathOf(this.rings);
    for (const [colour, width] of [["rgba(0,0,0,0.6)", 3.2], ["#ffffff", 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = this.reach(width);
      context.stroke(path);
    }
    const half = this.reach(3.2);
    context.lineWidth = 1 / scale;
    context.strokeStyle = "rgba(0,0,0,0.75)";
    this.rings.forEach((ring, r) => {
      for (let i = 0; i < ring.length; i += 2) {
        const on = [this.held, this.over].some((each) => each?.ring === r && each.point === i / 2);
        const size = on ? half * 1.6 : half;
        context.fillStyle = on ? "#ffd166" : "#ffffff";
        context.fillRect(ring[i] - size, ring[i + 1] - size, 2 * size, 2 * size);
        context.strokeRect(ring[i] - size, ring[i + 1] - size, 2 * size, 2 * size);
      }
    });
  }
}
