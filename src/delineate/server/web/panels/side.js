// The panels at the right: the palette above, and one of four panels below.

import { fill, h } from "../dom.js";

const TITLES = { objects: "Objects", model: "Model", picture: "Picture", notes: "Notes" };

export class Side {
  /** @param {object} panels name -> {element}; @param {Classes} classes the palette. */
  constructor(studio, element, classes, panels) {
    Object.assign(this, { studio, panels });
    this.tabs = h("div.tabs", { role: "tablist", "aria-label": "Panels" });
    this.body = h("div.tab-body", { role: "tabpanel", id: "side-panel" });
    fill(element, classes.element, this.tabs, this.body);
    this.draw();
  }

  draw() {
    const now = this.studio.kept.side;
    fill(this.tabs, ...Object.entries(TITLES).map(([name, title], i) =>
      h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-selected": String(name === now), "aria-controls": "side-panel",
        tabIndex: name === now ? 0 : -1, title: `${title} (Alt+${i + 1})`, onclick: () => this.show(name), onkeydown: (event) => this.key(event, i) }, title)));
    this.body.setAttribute("aria-labelledby", `tab-${now}`);
    fill(this.body, this.panels[now].element);
  }

  key(event, i) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const names = Object.keys(TITLES);
    this.show(names[(i + by + names.length) % names.length]);
  }

  show(name) {
    this.studio.keep({ side: name });
    this.draw();
    this.studio.tell("side", name);
    this.tabs.querySelector(`#tab-${name}`).focus();
  }
}
