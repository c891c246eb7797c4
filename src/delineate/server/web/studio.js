// What every part of the page shares: the project, the open image, its objects, what is selected, and who listens.

import { api } from "./api.js";
import { Objects } from "./objects.js";
import { View } from "./view.js";

const KEPT = "delineate-studio";
const LOOK = { fill: 0.22, outline: 1.6, colours: "class", shown: true, theme: "system", smooth: false };
const OFTEN = { radius: 8, tolerance: 12, confidence: 0.5, threshold: 0.5, strategy: "coverage", snaps: false, side: "objects", listed: true };
const RANKS = ["viewer", "annotator", "reviewer", "admin"];

export class Studio {
  constructor() {
    this.listeners = new Map();
    this.project = null;
    this.image = null; // what GET /api/images/{id} says, or null
    this.objects = new Objects();
    this.view = new View();
    this.selected = new Set();
    this.hovered = null;
    this.classId = null; // of what is drawn next
    this.filter = null; // function on an object, or null: which objects the canvas shows
    this.picture = { channel: "all", lo: null, hi: null, gamma: 1 }; // how the image is shown
    this.kept = { ...LOOK, ...OFTEN, ...read() }; // settings that outlive the page
    this.ground = "#808080"; // round the image; set from the style sheet
  }

  on(names, listener) {
    for (const name of names.split(" ")) {
      if (!this.listeners.has(name)) this.listeners.set(name, []);
      this.listeners.get(name).push(listener);
    }
  }

  tell(name, value) {
    for (const listener of this.listeners.get(name) ?? []) listener(value);
  }

  /** Change settings that outlive the page. */
  keep(change) {
    Object.assign(this.kept, change);
    localStorage.setItem(KEPT, JSON.stringify(this.kept));
    this.tell("kept", change);
  }

  /** Whether the user's role reaches to `rank`. */
  may(rank) {
    return RANKS.indexOf(this.project?.user?.role ?? "viewer") >= RANKS.indexOf(rank);
  }

  get canEdit() {
    return this.image !== null && this.may("annotator");
  }

  classOf(object) {
    return this.project.classes.find((each) => each.id === object.class_id) ?? null;
  }

  className(id) {
    return this.project.classes.find((each) => each.id === id)?.name ?? "no class";
  }

  async start() {
    this.project = await api.project();
    this.classId = this.project.classes[0]?.id ?? null;
    this.tell("project");
  }

  async refreshProject() {
    this.project = await api.project();
    this.tell("project");
  }

  /** Open an image by its id, whole on the canvas. */
  async open(id) {
    if (this.opening === id) return;
    this.opening = id;
    try {
      const [image, answer] = await Promise.all([api.image(id), api.objects(id)]);
      if (this.opening !== id) return; // another was asked for meanwhile
      this.selected.clear();
      this.hovered = null;
      this.image = image;
      const [lo, hi] = image.range ?? [0, 255];
      this.picture = { channel: "all", lo, hi, gamma: 1 };
      this.objects.put(answer, image);
      this.view.fit([0, 0, image.width, image.height], 0.04, 8);
      if (location.hash !== `#image=${id}`) history.replaceState(null, "", `#image=${id}`);
      this.tell("image");
      this.tell("selection");
    } finally {
      if (this.opening === id) this.opening = null;
    }
  }

  /** Objects that are selected, in the order they were. */
  get chosen() {
    return [...this.selected].map((id) => this.objects.get(id)).filter(Boolean);
  }

  select(ids, { add = false } = {}) {
    if (!add) this.selected.clear();
    for (const id of ids) {
      if (add && this.selected.has(id)) this.selected.delete(id);
      else this.selected.add(id);
    }
    this.tell("selection");
  }

  /** Take over what the server says of objects: its newest, and what is gone. Returns the box to draw anew. */
  take({ revision, changed = [], removed = [] }) {
    const box = this.objects.take(changed, removed, revision);
    const before = this.selected.size;
    for (const id of removed) this.selected.delete(id);
    this.tell("objects", { changed, removed, box });
    if (this.selected.size !== before || changed.some((each) => this.selected.has(each.id))) this.tell("selection");
  }

  setClass(id) {
    this.classId = id;
    this.tell("class");
  }

  setFilter(filter) {
    this.filter = filter;
    this.tell("filter");
  }

  /** Show the image otherwise: channel, darkest and brightest value, gamma. */
  setPicture(change) {
    Object.assign(this.picture, change);
    this.tell("picture");
  }
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  } catch {
    return {}; // settings of another version: begin anew
  }
}
