// The objects of the image as a list, with filters that the canvas may follow.

import { button, choice, fill, h, settled, tick } from "../dom.js";
import { colourOf } from "../paint.js";
import { Rows } from "../rows.js";

export class ObjectList {
  constructor(studio, edits) {
    Object.assign(this, { studio, edits });
    this.wish = { class_id: "", source: "", least: "", text: "" };
    this.follow = true;
    this.order = "place";
    this.list = [];
    this.rows = new Rows({ height: 34, label: "Objects", draw: (i) => this.row(i), choose: (i, event) => this.choose(i, event) });
    this.told = h("p.soft.small", { role: "status" });
    this.actions = h("div.actions");
    this.element = h("div.panel.tall");
    const soon = settled(40, () => this.load());
    studio.on("image objects", soon);
    studio.on("selection", () => this.mark());
    studio.on("kept", () => this.rows.show());
    studio.on("project", () => this.build());
  }

  build() {
    const change = (key) => (value) => {
      this.wish[key] = value;
      this.apply();
    };
    const classes = [["", "All classes"], ...this.studio.project.classes.map(({ id, name }) => [String(id), name])];
    const sources = [["", "From anyone"], ["suggested", "Suggested"], ["person", "Drawn"], ["model", "By a model"], ["import", "Imported"], ["crowd", "Crowd"], ["comment", "With a comment"]];
    const orders = [["place", "By place"], ["area", "Largest first"], ["small", "Smallest first"], ["score", "Least certain first"], ["class", "By class"]];
    fill(this.element,
      h("div.filters", {},
        h("div.pair", {},
          choice({ label: "Class", hidden: true, options: classes, value: this.wish.class_id, onchange: change("class_id") }),
          choice({ label: "Source", hidden: true, options: sources, value: this.wish.source, onchange: change("source") })),
        h("div.pair", {},
          choice({ label: "Order", hidden: true, options: orders, value: this.order, onchange: (order) => ((this.order = order), this.load()) }),
          h("input", { type: "number", min: 0, max: 1, step: 0.05, placeholder: "Least score", "aria-label": "Least score", oninput: (event) => change("least")(event.target.value) })),
        tick({ label: "Show only these on the image", value: this.follow, onchange: (follow) => ((this.follow = follow), this.apply()) }),
        this.told),
      this.rows.element, this.actions);
    this.load();
  }

  /** The filters as a function on an object, or null when they ask for nothing. */
  get filter() {
    const { class_id, source, least } = this.wish;
    const tests = [];
    if (class_id) tests.push((object) => String(object.class_id) === class_id);
    if (least !== "") tests.push((object) => object.score !== null && object.score >= Number(least));
    if (source === "suggested" || source === "crowd" || source === "comment") tests.push((object) => object[source]);
    else if (source) tests.push((object) => object.source === source && !object.suggested);
    return tests.length ? (object) => tests.every((test) => test(object)) : null;
  }

  apply() {
    this.studio.setFilter(this.follow ? this.filter : null);
    this.load();
  }

  load() {
    const { objects } = this.studio;
    const { filter } = this;
    const orders = {
      place: (a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0],
      area: (a, b) => b.area - a.area,
      small: (a, b) => a.area - b.area,
      score: (a, b) => (a.score ?? 2) - (b.score ?? 2),
      class: (a, b) => a.class_id - b.class_id || a.box[1] - b.box[1],
    };
    this.list = [...objects.values()].filter((object) => !filter || filter(object)).sort(orders[this.order]);
    const all = objects.size;
    this.told.textContent = filter ? `${this.list.length} of ${all} objects` : `${all} object${all === 1 ? "" : "s"}`;
    this.rows.put(this.list.length);
    this.mark();
  }

  mark() {
    this.buttons(); // first: they take room from the list
    const id = [...this.studio.selected].at(-1);
    const at = id === undefined ? -1 : this.list.findIndex((object) => object.id === id);
    if (at >= 0) this.rows.reveal(at);
    else this.rows.put(this.list.length, -1);
  }

  row(index) {
    const { studio } = this;
    const object = this.list[index];
    const chosen = studio.selected.has(object.id);
    const told = [`${Math.round(object.area)} px`];
    if (object.score !== null) told.push(object.score.toFixed(2));
    const marks = [object.suggested && "suggested", object.crowd && "crowd", object.comment && "comment"].filter(Boolean);
    return h(`div.object-row${chosen ? ".open" : ""}`, { "aria-selected": String(chosen), title: object.comment || null },
      h("span.swatch", { style: { background: colourOf(studio, object) } }),
      h("span.name", {}, studio.className(object.class_id)),
      h("span.soft.small", {}, marks.join(", ")),
      h("span.soft.small.number", {}, told.join(" · ")));
  }

  choose(index, event) {
    const { studio } = this;
    const object = this.list[index];
    studio.select([object.id], { add: event.shiftKey || event.ctrlKey });
    const [x1, y1, x2, y2] = object.box;
    studio.view.reveal((x1 + x2) / 2, (y1 + y2) / 2, 140);
    studio.tell("view");
  }

  /** What can be done with the selected, for those who look for buttons. */
  buttons() {
    const { studio, edits } = this;
    const ids = [...studio.selected];
    if (!ids.length || !studio.canEdit) return fill(this.actions, h("p.soft.small", {}, ids.length ? `${ids.length} selected` : "Nothing selected."));
    const several = ids.length > 1;
    const one = studio.chosen[0];
    return fill(this.actions,
      h("p.soft.small", {}, several ? `${ids.length} selected` : `${studio.className(one?.class_id)} · ${one?.author || one?.source || ""}${one?.comment ? ` · ${one.comment}` : ""}`),
      h("div.buttons", {},
        several && button({ icon: "merge", text: "Merge", title: "Merge into one", keys: "M", onclick: () => edits.merge(ids) }),
        button({ icon: "front", title: "Bring to the front", keys: "Ctrl+]", onclick: () => edits.send({ op: "order", ids, to: "front" }, "In front") }),
        button({ icon: "solid", title: "Fill holes", keys: "Shift+O", onclick: () => ids.forEach((id) => edits.send({ op: "fill_holes", id }, "Holes filled")) }),
        !several && button({ icon: "comment", title: "Comment", keys: "Shift+N", onclick: () => studio.tell("ask-object-comment") }),
        button({ icon: "carry", title: "Carry to the next image", keys: "G", onclick: () => studio.tell("ask-propagate") }),
        button({ icon: "trash", title: "Delete", keys: "Del", onclick: () => edits.delete(ids) })));
  }
}
