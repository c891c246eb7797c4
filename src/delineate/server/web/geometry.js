// Plain geometry on rings. A ring is [x0, y0, x1, y1, ...] in image pixels, closed without repeating its first
// point; rings of one object are read even-odd, so that a ring within a ring is a hole.

/** The box [x1, y1, x2, y2] round rings; all zero for none. */
export function boxOf(rings) {
  let [x1, y1, x2, y2] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of rings)
    for (let i = 0; i < ring.length; i += 2) {
      if (ring[i] < x1) x1 = ring[i];
      if (ring[i] > x2) x2 = ring[i];
      if (ring[i + 1] < y1) y1 = ring[i + 1];
      if (ring[i + 1] > y2) y2 = ring[i + 1];
    }
  return x1 <= x2 ? [x1, y1, x2, y2] : [0, 0, 0, 0];
}

/** Whether a point lies within rings, even-odd. */
export function within(rings, x, y) {
  let inside = false;
  for (const ring of rings) {
    const n = ring.length;
    for (let i = 0, j = n - 2; i < n; j = i, i += 2)
      if (ring[i + 1] > y !== ring[j + 1] > y) {
        const across = ring[i] + ((y - ring[i + 1]) * (ring[j] - ring[i])) / (ring[j + 1] - ring[i + 1]);
        if (x < across) inside = !inside;
      }
  }
  return inside;
}

/** Area of one ring by the shoelace formula, always positive. */
export function ringArea(ring) {
  let sum = 0;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2)
    sum += ring[j] * ring[i + 1] - ring[i] * ring[j + 1];
  return Math.abs(sum) / 2;
}

/** Whether two boxes share a point. */
export const meet = (a, b) => a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];

/** A box that holds both. */
export const union = (a, b) => [
  Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3]),
];

/** A box grown by `by` on every side. */
export const grown = (box, by) => [box[0] - by, box[1] - by, box[2] + by, box[3] + by];

/** Rings moved. */
export const shifted = (rings, dx, dy) =>
  rings.map((ring) => ring.map((value, i) => value + (i % 2 ? dy : dx)));

/** A box as a ring. */
export const boxRing = ([x1, y1, x2, y2]) => [x1, y1, x2, y1, x2, y2, x1, y2];

/** Points [[x, y], ...] as a ring, and back. */
export const flat = (points) => points.flat();
export const pairs = (ring) => {
  const points = [];
  for (let i = 0; i < ring.length; i += 2) points.push([ring[i], ring[i + 1]]);
  return points;
};

/** A ring without points nearer than `gap` to the one before: quick, for drawing small things. */
export function thinned(ring, gap) {
  if (ring.length <= 8) return ring;
  const kept = [ring[0], ring[1]];
  const least = gap * gap;
  let [x, y] = [ring[0], ring[1]];
  for (let i = 2; i < ring.length; i += 2) {
    const [dx, dy] = [ring[i] - x, ring[i + 1] - y];
    if (dx * dx + dy * dy < least) continue;
    x = ring[i];
    y = ring[i + 1];
    kept.push(x, y);
  }
  return kept.length >= 6 ? kept : ring.slice(0, 6);
}

/** A ring with fewer points, none of the left-out ones farther than `tolerance` from it (Douglas and Peucker, 1973). */
export function simplified(ring, tolerance) {
  const n = ring.length / 2;
  if (n <= 4) return ring;
  const keep = new Uint8Array(n);
  let far = 0;
  let most = -1;
  for (let i = 1; i < n; i++) {
    const d = (ring[2 * i] - ring[0]) ** 2 + (ring[2 * i + 1] - ring[1]) ** 2;
    if (d > most) [most, far] = [d, i];
  }
  keep[0] = keep[far] = 1;
  const open = [[0, far], [far, n]];
  while (open.length) {
    const [a, b] = open.pop();
    let worst = tolerance;
    let at = -1;
    for (let i = a + 1; i < b; i++) {
      const d = fromSegment(ring[2 * i], ring[2 * i + 1], ring[2 * a], ring[2 * a + 1],
        ring[2 * (b % n)], ring[2 * (b % n) + 1]).distance;
      if (d > worst) [worst, at] = [d, i];
    }
    if (at < 0) continue;
    keep[at] = 1;
    open.push([a, at], [at, b]);
  }
  const kept = [];
  for (let i = 0; i < n; i++) if (keep[i]) kept.push(ring[2 * i], ring[2 * i + 1]);
  return kept.length >= 6 ? kept : ring;
}

/** The nearest point of a segment: {x, y, distance}. */
export function fromSegment(x, y, ax, ay, bx, by) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  const [nx, ny] = [ax + along * dx, ay + along * dy];
  return { x: nx, y: ny, distance: Math.hypot(x - nx, y - ny) };
}

/** The nearest edge of rings: {ring, edge, x, y, distance}, where `edge` runs from point `edge` to the next. */
export function nearestEdge(rings, x, y) {
  let best = { distance: Infinity };
  rings.forEach((ring, r) => {
    const n = ring.length / 2;
    for (let i = 0; i < n; i++) {
      const j = (i + 1) % n;
      const found = fromSegment(x, y, ring[2 * i], ring[2 * i + 1], ring[2 * j], ring[2 * j + 1]);
      if (found.distance < best.distance) best = { ring: r, edge: i, ...found };
    }
  });
  return best;
}

/** The nearest point of rings: {ring, point, distance}. */
export function nearestPoint(rings, x, y) {
  let best = { distance: Infinity };
  rings.forEach((ring, r) => {
    for (let i = 0; i < ring.length; i += 2) {
      const distance = Math.hypot(ring[i] - x, ring[i + 1] - y);
      if (distance < best.distance) best = { ring: r, point: i / 2, distance };
    }
  });
  return best;
}

/** Rings as a Path2D in image pixels. */
export function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    if (ring.length < 6) continue;
    path.moveTo(ring[0], ring[1]);
    for (let i = 2; i < ring.length; i += 2) path.lineTo(ring[i], ring[i + 1]);
    path.closePath();
  }
  return path;
}
