// A way along edges ("intelligent scissors", Mortensen and Barrett, 1995): the cheapest path of pixels from a point,
// where a pixel costs little if the picture changes strongly there. Works on what is shown, in a window round the point.

const SIDE = 360; // screen pixels of the window
const STEEP = 60; // grey levels of change that count as a full edge
const STEP = 4; // every so many pixels of the way becomes a point

export class Wire {
  /** @param {Array} from the point [x, y] where it begins, image pixels. */
  constructor(stage, [x, y]) {
    const { scale } = stage.studio.view;
    this.scale = Math.min(scale, 2); // finer than half a pixel tells nothing more
    this.left = x - SIDE / 2 / this.scale;
    this.top = y - SIDE / 2 / this.scale;
    this.cameFrom = spread(costs(this.picture(stage)), SIDE);
  }

  picture(stage) {
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.setTransform(this.scale, 0, 0, this.scale, -this.left * this.scale, -this.top * this.scale);
    const side = SIDE / this.scale;
    stage.tiles.draw(context, [this.left, this.top, this.left + side, this.top + side], this.scale);
    return context.getImageData(0, 0, SIDE, SIDE).data;
  }

  /** Points of the way to a place, the place itself last; straight where it lies outside the window. */
  to(x, y) {
    const at = ([px, py]) => [Math.round((px - this.left) * this.scale), Math.round((py - this.top) * this.scale)];
    const [i, j] = at([x, y]);
    if (i < 1 || j < 1 || i >= SIDE - 1 || j >= SIDE - 1) return [[x, y]];
    const way = [];
    let place = j * SIDE + i;
    for (let n = 0; this.cameFrom[place] >= 0 && n < SIDE * SIDE; n++) {
      if (n % STEP === 0) way.push([(place % SIDE) / this.scale + this.left, Math.floor(place / SIDE) / this.scale + this.top]);
      place = this.cameFrom[place];
    }
    way.reverse();
    if (way.length) way[way.length - 1] = [x, y];
    return way.length ? way : [[x, y]];
  }
}

/** What each pixel costs: 1 on the strongest edges, 60 on flat ground. */
function costs(data) {
  const grey = new Float32Array(SIDE * SIDE);
  for (let i = 0; i < grey.length; i++) grey[i] = (data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3;
  const cost = new Uint8Array(SIDE * SIDE).fill(60);
  for (let j = 1; j < SIDE - 1; j++)
    for (let i = 1; i < SIDE - 1; i++) {
      const p = j * SIDE + i;
      const gx = grey[p + 1] - grey[p - 1] + (grey[p + 1 - SIDE] - grey[p - 1 - SIDE] + grey[p + 1 + SIDE] - grey[p - 1 + SIDE]) / 2;
      const gy = grey[p + SIDE] - grey[p - SIDE] + (grey[p + SIDE - 1] - grey[p - SIDE - 1] + grey[p + SIDE + 1] - grey[p - SIDE + 1]) / 2;
      cost[p] = 1 + 59 * (1 - Math.min(1, Math.hypot(gx, gy) / STEEP)) ** 2;
    }
  return cost;
}

/** Dijkstra from the middle with a ring of buckets, as costs are small whole numbers. */
function spread(cost, side) {
  const RING = 128; // more than the dearest step, 60 * 1.41
  const best = new Int32Array(side * side).fill(0x7fffffff);
  const from = new Int32Array(side * side).fill(-1);
  const buckets = Array.from({ length: RING }, () => []);
  const start = (side >> 1) * side + (side >> 1);
  const steps = [[1, 1], [-1, 1], [side, 1], [-side, 1], [side + 1, 1.41], [side - 1, 1.41], [1 - side, 1.41], [-1 - side, 1.41]];
  best[start] = 0;
  buckets[0].push(start);
  for (let now = 0, left = 1; left > 0; now++) {
    const bucket = buckets[now % RING];
    while (bucket.length) {
      const place = bucket.pop();
      left--;
      if (best[place] !== now) continue;
      const i = place % side;
      if (i === 0 || i === side - 1 || place < side || place >= side * (side - 1)) continue;
      for (const [step, length] of steps) {
        const next = place + step;
        const total = now + Math.max(1, Math.round(cost[next] * length));
        if (total >= best[next]) continue;
        best[next] = total;
        from[next] = place;
        buckets[total % RING].push(next);
        left++;
      }
    }
  }
  return from;
}
