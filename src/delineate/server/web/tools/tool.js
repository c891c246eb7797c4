// What a tool is: it hears the pointer (or the keys that stand for it) in image pixels and draws over the objects.

export class Tool {
  /** @param parts {studio, edits, stage, api}: what tools work with. */
  constructor(parts) {
    Object.assign(this, parts);
  }

  title = "";
  hint = ""; // one sentence for the status line
  cursor = "crosshair";
  drags = false; // whether a press by key lasts until the next one
  changes = true; // whether it changes objects: viewers do not get it

  start() {}

  /** Another tool or image is chosen. */
  stop() {
    this.cancel();
  }

  down() {}
  move() {}
  up() {}
  double() {}

  /** Enter: take what was begun. Returns whether there was something. */
  finish() {
    return false;
  }

  /** Escape: give up what was begun. Returns whether there was something. */
  cancel() {
    return false;
  }

  /** Backspace or Delete: take back the last step. Returns whether there was one. */
  back() {
    return false;
  }

  draw() {}

  /** Elements of the bar that floats over the image. */
  options() {
    return [];
  }

  refresh() {
    this.stage.ask();
    this.studio.tell("options");
  }

  /** Image pixels that `pixels` of the screen take. */
  reach(pixels) {
    return (pixels * (window.devicePixelRatio || 1)) / this.studio.view.scale;
  }

  /** The one selected object, or null. */
  get only() {
    const { chosen } = this.studio;
    return chosen.length === 1 ? chosen[0] : null;
  }
}
