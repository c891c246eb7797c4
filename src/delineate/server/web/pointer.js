// Mouse, pen, touch and keys on the canvas, told to the tool in image pixels. Whatever a pointer can do, keys can:
// arrows move a cross, Space presses there, and for tools that drag the next Space lets go.

const WHEEL = 0.0016; // zoom a wheel unit brings
const STEPS = { plain: 12, shift: 1, ctrl: 60 }; // of the cross: screen pixels; with Shift one image pixel

export class Pointer {
  constructor(studio, stage, canvas) {
    Object.assign(this, { studio, stage, canvas });
    this.pan = null; // last position while the view is dragged
    this.space = null; // while Space is down: whether the view was dragged with it
    this.down = false;
    this.pressed = false; // by key
    this.touches = new Map();
    this.last = null; // where the pointer is, image pixels
    const on = (name, listener, options) => canvas.addEventListener(name, listener, options);
    on("pointerdown", (event) => this.onDown(event));
    on("pointermove", (event) => this.onMove(event));
    on("pointerup", (event) => this.onUp(event));
    on("pointercancel", (event) => this.onUp(event));
    on("pointerleave", () => this.studio.tell("position", null));
    on("dblclick", () => studio.image && stage.tool?.double());
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.onWheel(event), { passive: false });
    on("keydown", (event) => this.onKeyDown(event));
    on("keyup", (event) => this.onKeyUp(event));
    on("blur", () => this.letGo());
  }

  /** A pointer event as tools take it. */
  told(event) {
    const ratio = window.devicePixelRatio || 1;
    const { left, top } = this.canvas.getBoundingClientRect();
    const [sx, sy] = [(event.clientX - left) * ratio, (event.clientY - top) * ratio];
    const [x, y] = this.studio.view.toImage(sx, sy);
    return { x, y, sx, sy, shift: event.shiftKey, alt: event.altKey, ctrl: event.ctrlKey || event.metaKey, button: event.button };
  }

  /** The cross as a pointer event. */
  atCross(event) {
    const [x, y] = this.stage.cross;
    const [sx, sy] = this.studio.view.toScreen(x, y);
    return { x, y, sx, sy, shift: event.shiftKey, alt: event.altKey, ctrl: false, button: 0, keys: true };
  }

  onDown(event) {
    if (!this.studio.image) return;
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.stage.cross = null;
    this.touches.set(event.pointerId, event);
    if (this.touches.size === 2) return this.pinchStart();
    if (event.button === 1 || this.space !== null || this.stage.tool?.pans) {
      event.preventDefault();
      this.pan = event;
      if (this.space !== null) this.space = true;
      this.canvas.classList.add("panning");
      return undefined;
    }
    this.down = true;
    this.stage.tool?.down(this.told(event));
    return undefined;
  }

  onMove(event) {
    if (!this.studio.image) return;
    if (this.touches.has(event.pointerId)) this.touches.set(event.pointerId, event);
    if (this.pinch) return this.pinchMove();
    if (this.pan) return this.drag(event);
    const many = this.down ? (event.getCoalescedEvents?.() ?? []) : [];
    for (const each of many.length ? many : [event]) {
      const told = this.told(each);
      this.last = [told.x, told.y];
      this.stage.tool?.move(told);
    }
    this.studio.tell("position", this.last);
    return undefined;
  }

  onUp(event) {
    this.touches.delete(event.pointerId);
    if (this.pinch) {
      if (this.touches.size < 2) this.pinch = null;
    } else if (this.pan) {
      this.pan = null;
      this.canvas.classList.remove("panning");
    } else if (this.down) {
      this.down = false;
      this.stage.tool?.up(this.told(event));
    }
  }

  drag(event) {
    const ratio = window.devicePixelRatio || 1;
    this.studio.view.panBy((event.clientX - this.pan.clientX) * ratio, (event.clientY - this.pan.clientY) * ratio);
    this.pan = event;
    this.moved();
  }

  moved() {
    const { view, image } = this.studio;
    view.hold(image.width, image.height);
    this.studio.tell("view");
  }

  pinchStart() {
    this.down = false;
    this.stage.tool?.cancel();
    this.pinch = this.spread();
  }

  spread() {
    const [a, b] = [...this.touches.values()].map((event) => this.told(event));
    return { x: (a.sx + b.sx) / 2, y: (a.sy + b.sy) / 2, apart: Math.hypot(a.sx - b.sx, a.sy - b.sy) };
  }

  pinchMove() {
    const now = this.spread();
    this.studio.view.panBy(now.x - this.pinch.x, now.y - this.pinch.y);
    this.studio.view.zoomAt(now.x, now.y, now.apart / Math.max(1, this.pinch.apart));
    this.pinch = now;
    this.moved();
  }

  onWheel(event) {
    event.preventDefault();
    if (!this.studio.image) return;
    const lines = event.deltaMode === 1 ? 20 : 1;
    const told = this.told(event);
    if (event.shiftKey) {
      this.studio.view.panBy(-(event.deltaX + event.deltaY) * lines, 0);
    } else if (event.altKey && this.stage.tool?.size) {
      this.stage.tool.size(this.stage.tool.radius * (event.deltaY < 0 ? 1.15 : 0.87));
    } else {
      const speed = event.ctrlKey ? 5 : 1; // a trackpad's pinch comes in small steps
      this.studio.view.zoomAt(told.sx, told.sy, Math.exp(-event.deltaY * lines * WHEEL * speed));
    }
    this.moved();
  }

  // -- keys that stand for the pointer ---------------------------------------------------------------

  onKeyDown(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.studio.image || event.altKey) return;
    if (arrow) {
      event.preventDefault();
      this.step(arrow, event);
    } else if (event.key === " ") {
      event.preventDefault();
      if (!event.repeat) this.space = false;
    }
  }

  onKeyUp(event) {
    if (event.key !== " " || this.space === null) return;
    const dragged = this.space;
    this.space = null;
    if (!dragged) this.press(event);
  }

  step([dx, dy], event) {
    const { studio, stage } = this;
    const { view, image } = studio;
    const by = event.shiftKey ? 1 : (event.ctrlKey ? STEPS.ctrl : STEPS.plain) / view.scale;
    const [x, y] = stage.cross ?? this.start();
    const inside = (value, size) => Math.max(0, Math.min(size, value));
    stage.cross = [inside(x + dx * by, image.width), inside(y + dy * by, image.height)];
    view.reveal(...stage.cross);
    stage.tool?.move(this.atCross({ shiftKey: false, altKey: false }));
    studio.tell("view");
    studio.tell("position", stage.cross);
  }

  /** Where the cross appears: in the middle of what is shown. */
  start() {
    const [x1, y1, x2, y2] = this.studio.view.box;
    return [(x1 + x2) / 2, (y1 + y2) / 2];
  }

  press(event) {
    const { stage } = this;
    if (!stage.cross) {
      stage.cross = this.start();
      stage.ask();
      return;
    }
    if (this.pressed) {
      this.pressed = false;
      stage.tool?.up(this.atCross(event));
      return;
    }
    stage.tool?.down(this.atCross(event));
    if (stage.tool?.drags) this.pressed = true;
    else stage.tool?.up(this.atCross(event));
  }

  /** The keyboard has gone elsewhere. */
  letGo() {
    this.space = null;
    if (!this.pressed) return;
    this.pressed = false;
    this.stage.tool?.cancel();
  }
}
