// Comments on the image, and its history: every edit, and the way back to any of them.

import { api } from "../api.js";
import { button, fill, h, settled, toast } from "../dom.js";

export class Notes {
  constructor(studio, edits) {
    Object.assign(this, { studio, edits });
    this.comments = h("div.comments");
    this.past = h("ol.history");
    this.text = h("textarea", { rows: 2, placeholder: "Write a comment", "aria-label": "A comment on this image" });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        event.stopPropagation();
        this.send();
      }
    });
    this.write = h("form", { onsubmit: (event) => (event.preventDefault(), this.send()) }, this.text,
      h("div.buttons", {}, h("button", { type: "submit" }, "Comment")));
    this.element = h("div.panel", {}, h("h2", {}, "Comments"), this.comments, this.write, h("h2", {}, "History"), this.past);
    studio.on("image", () => this.load());
    studio.on("objects", settled(400, () => this.load()));
    studio.on("images", settled(200, () => this.load()));
    studio.on("side", () => this.load());
  }

  async load() {
    const { studio } = this;
    if (!studio.image || studio.kept.side !== "notes") return;
    const { id } = studio.image;
    try {
      const [comments, past] = await Promise.all([api.comments(id), api.history(id)]);
      if (studio.image.id !== id) return;
      this.write.hidden = !studio.canEdit;
      fill(this.comments, comments.length ? comments.map((each) => this.comment(each)) : h("p.soft.small", {}, "None yet."));
      fill(this.past, past.length ? past.slice(0, 200).map((each) => this.edit(each)) : h("li.soft.small", {}, "Nothing has been changed yet."));
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
  }

  comment({ text, author, time }) {
    return h("div.comment", {}, h("p", {}, text), h("p.soft.small", {}, `${author} · ${when(time)}`));
  }

  edit({ edit, author, time, summary, op }) {
    return h("li", {}, h("span.name", {}, summary || op), h("span.soft.small", {}, `${author} · ${when(time)}`),
      this.studio.canEdit && button({ icon: "undo", title: `Back to how it was after: ${summary || op}`, className: "bare", onclick: () => this.restore(edit, summary) }));
  }

  async restore(edit, summary) {
    const answer = await this.edits.send({ op: "restore", edit }, "Restored");
    if (answer) toast(`Back to how it was after: ${summary}`, { actions: [["Undo", () => this.edits.undo()]] });
    this.load();
  }

  async send() {
    const text = this.text.value.trim();
    if (!text) return;
    try {
      await api.comment(this.studio.image.id, text);
      this.text.value = "";
      await this.load();
    } catch (error) {
      toast(error.message, { kind: "bad" });
    }
  }
}

/** A time as a person says it. */
function when(time) {
  const then = new Date(typeof time === "number" ? time * 1000 : time);
  const minutes = (Date.now() - then) / 60000;
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${Math.floor(minutes)} min ago`;
  if (minutes < 24 * 60) return then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return then.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}
