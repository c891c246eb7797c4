// What part of the image the canvas shows. Screen positions are device pixels from the canvas's top left.

const LEAST = 1 / 512;
const MOST = 64;

export class View {
  constructor() {
    this.scale = 1; // device pixels an image pixel takes
    this.x = 0; // image position at the canvas's top left
    this.y = 0;
    this.width = 1; // of the canvas, device pixels
    this.height = 1;
  }

  /** The canvas's top left in the scaled image: whole device pixels, so that cached pictures need no resampling. */
  get offset() {
    return [Math.round(this.x * this.scale), Math.round(this.y * this.scale)];
  }

  toScreen(x, y) {
    const [ox, oy] = this.offset;
    return [x * this.scale - ox, y * this.scale - oy];
  }

  toImage(sx, sy) {
    const [ox, oy] = this.offset;
    return [(sx + ox) / this.scale, (sy + oy) / this.scale];
  }

  /** The shown part of the image as a box. */
  get box() {
    return [...this.toImage(0, 0), ...this.toImage(this.width, this.height)];
  }

  panBy(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
  }

  /** Zoom by a factor and leave what lies under a screen position where it is. */
  zoomAt(sx, sy, factor) {
    const [x, y] = this.toImage(sx, sy);
    this.scale = Math.max(LEAST, Math.min(MOST, this.scale * factor));
    this.x = x - sx / this.scale;
    this.y = y - sy / this.scale;
  }

  zoomTo(scale) {
    this.zoomAt(this.width / 2, this.height / 2, scale / this.scale);
  }

  /** Show a whole box, `margin` of the canvas left free on each side. */
  fit([x1, y1, x2, y2], margin = 0.04, most = MOST) {
    const free = 1 - 2 * margin;
    const scale = Math.min((this.width * free) / Math.max(1, x2 - x1), (this.height * free) / Math.max(1, y2 - y1));
    this.scale = Math.max(LEAST, Math.min(most, scale));
    this.x = (x1 + x2 - this.width / this.scale) / 2;
    this.y = (y1 + y2 - this.height / this.scale) / 2;
  }

  /** Pan as little as shows a point, so that a cross moved by keys stays in sight. */
  reveal(x, y, margin = 40) {
    const [sx, sy] = this.toScreen(x, y);
    const over = (at, size) => (at < margin ? margin - at : at > size - margin ? size - margin - at : 0);
    this.panBy(over(sx, this.width), over(sy, this.height));
  }

  /** Keep at least a corner of the image on the canvas. */
  hold(width, height) {
    const keep = 60 / this.scale;
    this.x = Math.max(keep - this.width / this.scale, Math.min(width - keep, this.x));
    this.y = Math.max(keep - this.height / this.scale, Math.min(height - keep, this.y));
  }
}
