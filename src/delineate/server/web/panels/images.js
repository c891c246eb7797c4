// The list of images: thousands of them, fetched in pages as they scroll into sight; states, filters and search.

import { api } from "../api.js";
import { button, choice, fill, h, say, settled, toast } from "../dom.js";
import { Rows } from "../rows.js";

const PAGE = 100;
export const STATES = { todo: "To do", done: "Done", reviewed: "Reviewed", rejected: "Rejected" };

export class Images {
  constructor(studio, element) {
    Object.assign(this, { studio, element });
    this.going = null; // index of an image that is being opened
    this.query = { state: "", search: "", class_id: "", sort: "name" };
    this.rows = new Rows({ height: 62, label: "Images", draw: (i) => this.row(i), choose: (i) => this.choose(i) });
    this.recount = settled(400, () => studio.refreshProject().catch(() => null)); // the next news try again
    this.clear();
    studio.on("project", () => this.build());
    studio.on("image", () => {
      const row = this.known[this.index];
      if (row) Object.assign(row, { objects: studio.image.objects, state: studio.image.state }); // brought in just now
      this.mark();
    });
    studio.on("kept", () => document.body.classList.toggle("no-images", !studio.kept.listed));
    studio.on("images", (news) => this.news(news));
    document.body.classList.toggle("no-images", !studio.kept.listed);
  }

  clear() {
    this.total = 0;
    this.known = []; // by index
    this.asked = new Map(); // page -> promise of it
    this.turn = (this.turn ?? 0) + 1;
  }

  build() {
    if (this.built) return this.counts();
    this.built = true;
    const again = settled(180, () => this.load());
    const change = (key) => (value) => {
      this.query[key] = value;
      this.load();
    };
    this.search = h("input", { type: "search", placeholder: "Find an image", "aria-label": "Find an image by name",
      oninput: (event) => ((this.query.search = event.target.value), again()) });
    this.stateChoice = choice({ label: "State", hidden: true, options: [["", "All states"]], value: "", onchange: change("state") });
    const classes = [["", "All classes"], ...this.studio.project.classes.map(({ id, name }) => [String(id), name])];
    const sorts = [["name", "By name"], ["objects", "By objects"], ["updated", "By change"], ["queue", "By worth"]];
    this.told = h("p.soft.small");
    fill(this.element,
      h("div.filters", {}, this.search,
        h("div.pair", {}, this.stateChoice,
          choice({ label: "Class", hidden: true, options: classes, value: "", onchange: change("class_id") })),
        h("div.pair", {}, choice({ label: "Order", hidden: true, options: sorts, value: "name", onchange: change("sort") }), this.told)),
      this.rows.element);
    this.counts();
    return this.load();
  }

  counts() {
    const { counts, states } = this.studio.project;
    const all = Object.values(counts).reduce((a, b) => a + b, 0);
    const options = states.map((state) => [state, `${STATES[state] ?? state} (${counts[state] ?? 0})`]);
    fill(this.stateChoice, ...[["", `All (${all})`], ...options].map(([value, text]) => h("option", { value }, text)));
    this.stateChoice.value = this.query.state;
  }

  /** Fetch the first page of what the filters ask for. */
  async load() {
    this.clear();
    await this.page(0);
    this.mark();
  }

  page(number) {
    if (!this.asked.has(number)) this.asked.set(number, this.fetchPage(number));
    return this.asked.get(number);
  }

  async fetchPage(number) {
    const { turn } = this;
    try {
      const answer = await api.images({ ...this.query, offset: number * PAGE, limit: PAGE });
      if (turn !== this.turn) return;
      this.total = answer.total;
      answer.images.forEach((image, i) => (this.known[number * PAGE + i] = image));
      this.told.textContent = `${answer.total} image${answer.total === 1 ? "" : "s"}`;
      this.rows.put(this.total);
    } catch (error) {
      this.asked.delete(number);
      toast(error.message, { kind: "bad" });
    }
  }

  async at(index) {
    if (!this.known[index]) await this.page(Math.floor(index / PAGE));
    return this.known[index];
  }

  row(index) {
    const image = this.known[index];
    if (!image) {
      this.page(Math.floor(index / PAGE));
      return h("div.image-row", {}, h("div.thumb"), h("div", {}, h("span.soft", {}, "…")));
    }
    const told = [`${image.objects} object${image.objects === 1 ? "" : "s"}`];
    if (image.suggested) told.push(`${image.suggested} suggested`);
    if (image.comments) told.push(`${image.comments} comment${image.comments === 1 ? "" : "s"}`);
    const open = image.id === this.studio.image?.id;
    return h(`div.image-row${open ? ".open" : ""}`, { title: image.name, "aria-selected": String(open) },
      h("img.thumb", { src: api.thumbnail(image.id, 96), alt: "", loading: "lazy", decoding: "async" }),
      h("div.text", {}, h("span.name", {}, image.name), h("span.soft.small", {}, told.join(" · "))),
      h(`span.dot.${image.state}`, { title: STATES[image.state] ?? image.state, role: "img", "aria-label": STATES[image.state] ?? image.state }));
  }

  async choose(index) {
    const image = await this.at(index);
    if (image) await this.open(image.id);
  }

  async open(id) {
    try {
      await this.studio.open(id);
    } catch (error) {
      toast(error.message, { kind: "bad", seconds: 10 });
    }
  }

  /** Where the open image stands in the list, -1 if it does not. */
  get index() {
    return this.known.findIndex((image) => image?.id === this.studio.image?.id);
  }

  mark() {
    if (!this.studio.image) return this.rows.put(this.total);
    const { index } = this;
    if (index >= 0) this.rows.reveal(index);
    return this.rows.put(this.total, index);
  }

  /** To the next image or the one before; pressed again while one opens, to the one after that. */
  async step(by) {
    const next = (this.going ?? this.index) + by;
    if (next < 0 || next >= this.total) return say(by > 0 ? "The last image" : "The first image");
    this.going = next;
    await this.choose(next);
    if (this.going === next) this.going = null;
    return undefined;
  }

  async doneAndNext() {
    const next = this.index + 1;
    await this.setState("done");
    if (this.query.state) {
      await this.load(); // the image may have left the list
      return this.choose(Math.max(0, Math.min(next - 1, this.total - 1)));
    }
    return next < this.total ? this.choose(next) : toast("That was the last image.", { seconds: 4 });
  }

  async setState(state) {
    const { image } = this.studio;
    if (!image || image.state === state) return;
    try {
      const answer = await api.setState(image.id, state, image.version);
      Object.assign(image, answer ?? {}, { state });
      this.studio.tell("state");
      say(`Image marked ${STATES[state]}`);
    } catch (error) {
      if (error.status === 409 || error.status === 412) Object.assign(image, await api.image(image.id));
      this.studio.tell("state");
      toast(error.message, { kind: "bad", actions: error.status === 409 ? [["Set mine", () => this.setState(state)]] : [] });
    }
    await this.reloadCurrent();
    await this.studio.refreshProject();
  }

  /** The open image's row, as the server has it now. */
  async reloadCurrent() {
    const { index, turn } = this;
    if (index < 0) return;
    const answer = await api.images({ ...this.query, offset: index, limit: 1 }).catch(() => null);
    if (turn !== this.turn || answer?.images[0]?.id !== this.known[index]?.id) return;
    this.known[index] = answer.images[0];
    this.rows.put(this.total);
  }

  /** Someone changed the state of images. */
  news(images) {
    const known = new Map(this.known.filter(Boolean).map((image) => [image.id, image]));
    for (const changed of images) {
      if (known.has(changed.id)) Object.assign(known.get(changed.id), changed);
      if (changed.id === this.studio.image?.id) {
        Object.assign(this.studio.image, changed);
        this.studio.tell("state");
      }
    }
    this.rows.put(this.total);
    this.recount();
  }

  async fromQueue() {
    try {
      const { image, reason } = await api.queue(this.studio.kept.strategy);
      if (image === null || image === undefined) return toast(reason || "No image is left to do.", { seconds: 4 });
      await this.open(image);
      return toast(reason || "The next image that is still to do.", { seconds: 5 });
    } catch (error) {
      return toast(error.message, { kind: "bad" });
    }
  }

  find() {
    this.studio.keep({ listed: true });
    this.search.focus();
    this.search.select();
  }
}

/** Whether the user may give the image a state: what is reviewed or rejected a reviewer says. */
const maySet = (studio, state) => studio.canEdit && (state === "todo" || state === "done" || studio.may("reviewer"));

/** The buttons that set an image's state. */
export function stateButtons(studio, images) {
  const element = h("div.segmented", { role: "group", "aria-label": "State of the image" });
  const draw = () =>
    fill(element, ...Object.entries(STATES).map(([state, text], i) =>
      button({ text, title: `Mark ${text.toLowerCase()}`, keys: `Shift+${i + 1}`, className: state, disabled: !maySet(studio, state),
        "aria-pressed": String(studio.image?.state === state), onclick: () => images.setState(state) })));
  studio.on("image state project", draw);
  draw();
  return element;
}
