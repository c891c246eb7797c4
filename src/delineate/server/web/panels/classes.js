// The palette: what class the next object gets, and what the selected have.

import { api } from "../api.js";
import { button, fill, h, toast } from "../dom.js";
import { useClass } from "../commands.js";

export class Classes {
  constructor(studio, edits) {
    Object.assign(this, { studio, edits });
    this.element = h("section.panel.classes", { "aria-label": "Classes" });
    studio.on("project selection image objects", () => this.draw());
    studio.on("class", () => {
      this.draw();
      this.element.querySelector(".current")?.scrollIntoView({ block: "nearest" });
    });
  }

  draw() {
    const { studio } = this;
    if (!studio.project) return;
    const scrolled = this.element.querySelector(".class-list")?.scrollTop ?? 0;
    const counts = new Map();
    for (const { class_id } of studio.objects.values()) counts.set(class_id, (counts.get(class_id) ?? 0) + 1);
    const chosen = new Set(studio.chosen.map(({ class_id }) => class_id));
    const rows = studio.project.classes.map((each, i) => this.row(each, i, counts.get(each.id) ?? 0, chosen.has(each.id)));
    fill(this.element,
      h("header", {}, h("h2", {}, "Classes"),
        studio.may("admin") && button({ icon: "plus", title: "New class", className: "bare", onclick: () => this.edit(null) })),
      rows.length ? h("div.class-list", { role: "radiogroup", "aria-label": "Class of what is drawn next" }, rows)
        : h("p.soft.small", {}, "No classes yet: make one to draw."));
    if (rows.length) this.element.querySelector(".class-list").scrollTop = scrolled;
  }

  row(each, index, count, chosen) {
    const { studio } = this;
    const current = each.id === studio.classId;
    return h(`div.class-row${current ? ".current" : ""}${chosen ? ".chosen" : ""}`, {},
      h("button.class-pick", { type: "button", role: "radio", "aria-checked": String(current), onclick: () => useClass(studio, this.edits, each) },
        h("span.swatch", { style: { background: each.color } }),
        h("span.name", {}, each.name),
        h("span.soft.small.number", {}, count || ""),
        index < 9 && h("kbd", {}, String(index + 1))),
      studio.may("admin") && button({ icon: "more", title: `Change the class ${each.name}`, className: "bare", onclick: () => this.edit(each) }));
  }

  /** Ask for the name and colour of a class; null makes a new one. */
  edit(given) {
    const colour = given?.color ?? this.unused();
    const name = h("input", { type: "text", value: given?.name ?? "", required: true, maxLength: 80, "aria-label": "Name" });
    const swatch = h("input", { type: "color", value: colour, "aria-label": "Colour" });
    this.studio.tell("dialog", {
      title: given ? "Change a class" : "New class",
      body: [h("div.line", {}, swatch, name)],
      done: given ? "Change" : "Make",
      take: async () => {
        const change = { name: name.value.trim(), color: swatch.value };
        if (!change.name) return;
        try {
          const made = given ? await api.setClass(given.id, change) : await api.addClass(change.name, change.color);
          await this.studio.refreshProject();
          if (!given && made?.id !== undefined) this.studio.setClass(made.id);
          this.studio.tell("filter");
        } catch (error) {
          toast(error.message, { kind: "bad" });
        }
      },
    });
  }

  unused() {
    const list = ["#2a9d8f", "#e76f51", "#4f7cac", "#e9b44c", "#9b5de5", "#d1495b", "#6a994e", "#00a6d6", "#bc6c25"];
    const used = new Set(this.studio.project.classes.map(({ color }) => color.toLowerCase()));
    return list.find((each) => !used.has(each)) ?? list[this.studio.project.classes.length % list.length];
  }
}
