// How objects look: filled and outlined in the colour of their class, of their own, or of their score.

const STEP = 1600; // points of outlines between two looks at the clock
const EACH = 30; // points that an object costs besides its own
const colours = new Map();

/** A colour with an opacity, as CSS; `text` is #rrggbb. */
export function faded(text, opacity) {
  const key = `${text}${opacity}`;
  if (!colours.has(key)) {
    const value = parseInt(text.slice(1), 16);
    colours.set(key, `rgba(${value >> 16},${(value >> 8) & 255},${value & 255},${opacity})`);
    if (colours.size > 4000) colours.clear();
  }
  return colours.get(key) ?? faded(text, opacity);
}

function hex(r, g, b) {
  return `#${[r, g, b].map((v) => Math.round(v).toString(16).padStart(2, "0")).join("")}`;
}

/** A hue in degrees as a light, strong colour. */
export function ofHue(hue) {
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return 255 * (0.6 - 0.36 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return hex(part(0), part(8), part(4));
}

/** The colour of an object. */
export function colourOf(studio, object) {
  const by = studio.kept.colours;
  if (by === "object") return ofHue((Number(object.id) * 137.508) % 360); // the golden angle sets neighbours apart
  if (by === "score") return ofHue(object.score === null ? 210 : 140 * object.score);
  return studio.classOf(object)?.color ?? "#8a949c";
}

/** Draw objects, some a step. Suggestions are dashed; those below the threshold are faint. */
export function* paint(context, studio, objects, scale) {
  const { fill, outline, threshold } = studio.kept;
  const width = (outline * (window.devicePixelRatio || 1)) / scale;
  context.lineJoin = "round";
  let cost = 0;
  for (const object of objects) {
    if (studio.filter && !studio.filter(object)) continue;
    cost += one(context, studio, object, { fill, width, scale, faint: isFaint(object, threshold) }) + EACH;
    if (cost < STEP) continue;
    cost = 0;
    yield;
  }
}

/** Whether a suggestion lies below the confidence that would be accepted. */
export const isFaint = (object, threshold) => object.suggested && (object.score ?? 1) < threshold;

/** Draw one object; returns the points its outline took. */
function one(context, studio, object, { fill, width, scale, faint }) {
  const colour = colourOf(studio, object);
  const [x1, y1, x2, y2] = object.box;
  const strength = faint ? 0.3 : 1;
  if ((x2 - x1) * scale < 3 && (y2 - y1) * scale < 3) {
    const least = 2 / scale;
    context.fillStyle = faded(colour, 0.9 * strength);
    context.fillRect(x1, y1, Math.max(least, x2 - x1), Math.max(least, y2 - y1));
    return 0;
  }
  const { path, points } = studio.objects.drawn(object, scale);
  if (fill > 0) {
    context.fillStyle = faded(colour, fill * strength);
    context.fill(path, "evenodd");
  }
  if (width === 0) return points;
  const dashed = object.suggested && (x2 - x1) * scale > 16;
  if (dashed) context.setLineDash([4 * width, 3 * width]);
  context.lineWidth = width;
  context.strokeStyle = faded(colour, 0.95 * strength);
  context.stroke(path);
  if (dashed) context.setLineDash([]);
  return points;
}

/** Draw a line of points over the image so that it is seen on any ground: dark below, bright above. */
export function contrastLine(context, draw, width, colour = "#ffffff") {
  context.lineJoin = context.lineCap = "round";
  context.lineWidth = width * 2.2;
  context.strokeStyle = "rgba(0,0,0,0.55)";
  draw();
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}
