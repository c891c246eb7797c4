// A list of any length: only the rows in sight are elements. Arrow keys move, Enter or a click chooses.

import { h } from "./dom.js";

export class Rows {
  /**
   * @param {object} given
   *   height: of a row in CSS pixels; label: what the list holds, for screen readers;
   *   draw(index) -> element of a row; choose(index, event): a row was chosen.
   */
  constructor({ height, label, draw, choose }) {
    Object.assign(this, { height, draw, choose, count: 0, active: -1 });
    this.space = h("div.rows-space");
    this.element = h("div.rows", { role: "listbox", tabIndex: 0, "aria-label": label }, this.space);
    this.element.addEventListener("scroll", () => this.show(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.show()).observe(this.element);
  }

  /** Show `count` rows, drawn anew. */
  put(count, active = this.active) {
    this.count = count;
    this.active = Math.min(active, count - 1);
    this.space.style.height = `${count * this.height}px`;
    this.show();
  }

  show() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / this.height) - 3);
    const last = Math.min(this.count - 1, Math.ceil((scrollTop + clientHeight) / this.height) + 3);
    const made = [];
    for (let i = first; i <= last; i++) {
      const element = this.draw(i);
      element.classList.add("row");
      element.id ||= `${this.name}-${i}`;
      element.setAttribute("role", "option");
      element.setAttribute("aria-setsize", this.count);
      element.setAttribute("aria-posinset", i + 1);
      if (i === this.active) element.classList.add("active");
      element.style.top = `${i * this.height}px`;
      element.style.height = `${this.height}px`;
      element.addEventListener("click", (event) => {
        this.active = i;
        this.choose(i, event);
      });
      made.push(element);
    }
    this.space.replaceChildren(...made);
    const active = made.find((element) => element.classList.contains("active"));
    if (active) this.element.setAttribute("aria-activedescendant", active.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  get name() {
    return (this.prefix ??= `rows${Math.floor(Math.random() * 1e9)}`);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const to = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, Home: 0, End: this.count - 1,
      PageDown: this.active + page, PageUp: this.active - page }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      this.reveal(Math.max(0, Math.min(this.count - 1, to)));
    } else if ((event.key === "Enter" || event.key === " ") && this.active >= 0) {
      event.preventDefault();
      event.stopPropagation();
      this.choose(this.active, event);
    }
  }

  /** Make a row the active one and scroll to it. */
  reveal(index) {
    this.active = index;
    const top = index * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.show();
  }
}
