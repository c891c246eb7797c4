// Windows over the page: help, the command list, classes by name, comments, export. All are <dialog>s, so the
// browser keeps the focus within and Escape closes.

import { api } from "./api.js";
import { useClass } from "./commands.js";
import { button, choice, fill, h, tick, toast } from "./dom.js";
import { shownKey } from "./keys.js";

export class Dialogs {
  constructor(studio, edits) {
    Object.assign(this, { studio, edits, commands: [] });
    studio.on("dialog", (given) => this.ask(given));
    studio.on("ask-object-comment", () => this.objectComment());
  }

  open(className, ...children) {
    document.querySelector("dialog[open]")?.close();
    const back = document.activeElement;
    const dialog = h(`dialog.${className}`, {}, ...children);
    dialog.addEventListener("close", () => {
      dialog.remove();
      (back?.isConnected ? back : document.getElementById("canvas")).focus();
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // a click beside it
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  }

  head(dialog, title) {
    dialog.prepend(h("header", {}, h("h1", {}, title),
      button({ icon: "close", title: "Close", keys: "Esc", className: "bare", onclick: () => dialog.close() })));
    dialog.setAttribute("aria-label", title);
  }

  /** A question: fields, and a button that takes them. */
  ask({ title, body, done, take }) {
    const form = h("form", { method: "dialog" }, ...body,
      h("div.buttons.end", {}, button({ text: "Cancel", title: "Cancel", onclick: () => dialog.close() }), h("button.main", { type: "submit" }, done)));
    const dialog = this.open("ask", form);
    form.addEventListener("submit", () => take());
    this.head(dialog, title);
    (form.querySelector("textarea, input[type=text], input, select") ?? form.querySelector("button.main")).focus();
  }

  help() {
    const groups = new Map();
    for (const command of this.commands) {
      if (/^(class-[2-9]|nudge-(?!left)|pan-(?!left))/.test(command.id)) continue; // shown as one row each
      if (!groups.has(command.group)) groups.set(command.group, []);
      groups.get(command.group).push(command);
    }
    const more = { "class-1": [["1 … 9"], "Class: of the selected, and of what is drawn next"], "nudge-left": [["Alt+←→↑↓", "Alt+Shift+←→↑↓"], "Move the selected one pixel, or ten"],
      "pan-left": [["Shift+A W S F"], "Move the view left, up, down, right"] };
    const line = ([keys, title]) => h("tr", {}, h("td", {}, keys.map((key) => h("kbd", {}, key))), h("td", {}, title));
    const rows = (list) => list.map((each) => line(more[each.id] ?? [each.keys.map(shownKey), each.title]));
    const pointer = [[["←→↑↓"], "Move the cross; Shift one pixel, Ctrl far"], [["Space"], "Press at the cross; dragging tools let go at the next"],
      [["Space + drag", "middle button"], "Move the view, in every tool"], [["wheel"], "Zoom; Alt changes the brush, Shift moves sideways"],
      [["Tab"], "On to the next part of the page"]];
    const block = (title, lines) => h("section", {}, h("h2", {}, title), h("table", {}, h("tbody", {}, lines)));
    const dialog = this.open("help", h("div.columns", { tabIndex: 0 },
      block("Pointer and cross", pointer.map(line)), ...[...groups].map(([title, list]) => block(title, rows(list)))));
    this.head(dialog, "Every key");
  }

  /** A list to type into: entries {text, note, run}. */
  pick(title, entries) {
    const input = h("input", { type: "search", placeholder: title, "aria-label": title, role: "combobox", "aria-expanded": "true", "aria-controls": "picked" });
    const list = h("ul.pick", { role: "listbox", id: "picked" });
    let shown = [];
    let at = 0;
    const draw = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      shown = entries.filter(({ text }) => words.every((word) => text.toLowerCase().includes(word))).slice(0, 60);
      at = Math.max(0, Math.min(at, shown.length - 1));
      fill(list, ...shown.map((entry, i) =>
        h(`li${i === at ? ".active" : ""}`, { role: "option", id: `picked-${i}`, "aria-selected": String(i === at), onclick: () => run(entry) },
          entry.colour && h("span.swatch", { style: { background: entry.colour } }), h("span.name", {}, entry.text), entry.note && h("kbd", {}, entry.note))));
      input.setAttribute("aria-activedescendant", shown.length ? `picked-${at}` : "");
      list.children[at]?.scrollIntoView({ block: "nearest" });
    };
    const run = (entry) => {
      dialog.close();
      entry.run();
    };
    input.addEventListener("input", () => ((at = 0), draw()));
    input.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (by) {
        event.preventDefault();
        at += by;
        draw();
      } else if (event.key === "Enter" && shown[at]) {
        event.preventDefault();
        run(shown[at]);
      }
    });
    const dialog = this.open("picker", input, list);
    dialog.setAttribute("aria-label", title);
    draw();
    input.focus();
  }

  commandList() {
    const entries = this.commands.filter((each) => !each.when || each.when())
      .map(({ title, group, keys, run }) => ({ text: `${group}: ${title}`, note: keys[0] && shownKey(keys[0]), run }));
    this.pick("Find a command", entries);
  }

  classes() {
    const { studio, edits } = this;
    this.pick("Choose a class", studio.project.classes.map((each) => ({ text: each.name, colour: each.color, run: () => useClass(studio, edits, each) })));
  }

  objectComment() {
    const object = this.studio.chosen[0];
    if (!object) return;
    const text = h("textarea", { rows: 3, value: object.comment ?? "", "aria-label": "Comment" });
    this.ask({ title: "Comment on this object", body: [text], done: "Keep",
      take: () => this.edits.send({ op: "comment", id: object.id, text: text.value.trim() }, "Comment kept") });
  }

  comment() {
    const { studio } = this;
    if (!studio.image) return;
    const text = h("textarea", { rows: 3, "aria-label": "Comment" });
    this.ask({ title: "Comment on this image", body: [text], done: "Comment", take: async () => {
      if (!text.value.trim()) return;
      try {
        await api.comment(studio.image.id, text.value.trim());
        toast("Comment written.", { seconds: 3 });
        studio.tell("side");
      } catch (error) {
        toast(error.message, { kind: "bad" });
      }
    } });
  }

  exportAs() {
    const formats = this.studio.project.formats ?? ["coco"];
    const options = formats.map((each) => (typeof each === "string" ? [each, each] : [each.name, each.title]));
    const format = choice({ label: "Format", options, value: options[0][0], onchange: () => null });
    let finished = false;
    let suggestions = false;
    this.ask({ title: "Export the data set", done: "Export",
      body: [format,
        tick({ label: "Only images marked done or reviewed", value: finished, onchange: (value) => (finished = value) }),
        tick({ label: "Suggestions that nobody has accepted, too", value: suggestions, onchange: (value) => (suggestions = value) })],
      take: () => this.export({ format: format.select.value, states: finished ? ["done", "reviewed"] : [], suggestions }) });
  }

  async export(wish) {
    try {
      const answer = await api.exportAs(wish);
      const name = /filename="?([^";]+)/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? `${wish.format}.zip`;
      const { images, objects, losses } = JSON.parse(decodeURIComponent(answer.headers.get("X-Export") ?? "%7B%7D"));
      const url = URL.createObjectURL(await answer.blob());
      h("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
      const lost = losses?.length ? ` What ${wish.format} cannot hold: ${losses.join("; ")}` : "";
      toast(`${name}: ${objects ?? "all"} objects of ${images ?? "all"} images.${lost}`, { seconds: lost ? 0 : 8 });
    } catch (error) {
      toast(error.message, { kind: "bad", seconds: 15 });
    }
  }
}
