// Every change goes to the server at once and in order. What it has not acknowledged stays here and is tried again.

import { api, Refused, Unreached } from "./api.js";
import { toast, say } from "./dom.js";

const LONGEST = 8000; // ms between two tries

export class Edits {
  constructor(studio) {
    this.studio = studio;
    this.line = Promise.resolve();
    this.waiting = 0; // edits that are not acknowledged yet
    this.lost = false; // whether the server is out of reach
    window.addEventListener("beforeunload", (event) => {
      if (this.waiting) event.preventDefault();
    });
  }

  /**
   * Send an edit; resolves with the server's answer, or null when it was refused.
   * @param {object} edit {op, ...} as the server takes it; `versions` are filled in when it is sent.
   * @param {string} said what is told when it is done.
   */
  send(edit, said = "") {
    const { studio } = this;
    if (!studio.canEdit) {
      toast("Your role only looks: ask for the role of an annotator to change objects.", { kind: "bad" });
      return Promise.resolve(null);
    }
    const image = studio.image.id;
    this.waiting++;
    studio.tell("saving");
    const result = this.line.then(() => this.deliver(image, edit, said));
    this.line = result.catch(() => null);
    return result.finally(() => {
      this.waiting--;
      studio.tell("saving");
    });
  }

  async deliver(image, edit, said) {
    const before = this.studio.objects.revision;
    for (let pause = 500; ; pause = Math.min(LONGEST, pause * 2)) {
      try {
        const kept = pause > 500 ? await this.arrived(image, edit, before) : null;
        const answer = kept ?? (await api.edit(image, { ...edit, versions: this.versions(edit) }));
        this.found();
        if (this.studio.image?.id === image) this.studio.take(answer);
        if (said) say(said);
        return answer;
      } catch (error) {
        if (error instanceof Unreached) await this.missing(pause);
        else {
          this.found();
          this.refused(image, edit, said, error);
          return null;
        }
      }
    }
  }

  /** Versions of the objects that an edit touches, as this page knows them now. */
  versions(edit) {
    const versions = {};
    for (const id of edit.ids ?? (edit.id === undefined ? [] : [edit.id])) {
      const object = this.studio.objects.get(id);
      if (object) versions[id] = object.version;
    }
    return versions;
  }

  /** Whether an edit came through although its answer was lost: then what the server holds, else null. */
  async arrived(image, edit, before) {
    const now = await api.objects(image);
    if (now.revision <= before) return null;
    const [last] = await api.history(image);
    if (last?.op !== edit.op || last.author !== this.studio.project.user.name) return null;
    const there = new Set(now.objects.map(({ id }) => id));
    const removed = [...this.studio.objects.values()].map(({ id }) => id).filter((id) => !there.has(id));
    return { revision: now.revision, changed: now.objects, removed };
  }

  async missing(pause) {
    this.lost = true;
    this.studio.tell("saving");
    await new Promise((done) => setTimeout(done, pause));
  }

  found() {
    if (!this.lost) return;
    this.lost = false;
    this.studio.tell("saving");
  }

  /** The server said no: a conflict shows the other's work and offers to do ours on top of it. */
  refused(image, edit, said, error) {
    const { studio } = this;
    if (!(error instanceof Refused)) throw error;
    if (error.status !== 409) {
      toast(error.message, { kind: "bad", seconds: 10 });
      return;
    }
    if (studio.image?.id !== image) return;
    const asked = new Set((edit.ids ?? [edit.id]).filter((id) => id !== undefined));
    const there = new Set(error.objects.map((object) => object.id));
    const gone = [...asked].filter((id) => !there.has(id) && error.objects.length < asked.size && studio.objects.get(id));
    studio.take({ revision: studio.objects.revision, changed: error.objects });
    studio.tell("conflict", error.objects.map((object) => object.id));
    const again = gone.length === asked.size ? [] : [["Do mine on top", () => this.send(edit, said)]];
    const me = studio.project.user.name;
    const names = [...new Set(error.objects.map(({ author }) => author).filter(Boolean))];
    const who = names.map((name) => (name === me ? "You, in another window," : name)).join(", ");
    toast(`${who || "Someone else"} changed this meanwhile. That is what you see now; your change was not saved.`,
      { kind: "bad", seconds: 0, actions: again });
  }

  // -- what the tools ask for ------------------------------------------------------------------------

  async add(geometry, said = "Added") {
    const answer = await this.send({ op: "add", class_id: this.studio.classId, geometry }, said);
    if (answer?.changed.length) this.studio.select([answer.changed.at(-1).id]);
    return answer;
  }

  delete(ids) {
    return ids.length ? this.send({ op: "delete", ids }, `${ids.length} deleted`) : null;
  }

  setClass(ids, class_id) {
    return ids.length ? this.send({ op: "set_class", ids, class_id }, "Class set") : null;
  }

  async merge(ids) {
    if (ids.length < 2) return toast("Select two or more objects to merge them.");
    const answer = await this.send({ op: "merge", ids }, "Merged into one");
    if (answer?.changed.length) this.studio.select([answer.changed[0].id]);
    return answer;
  }

  async undo(op = "undo") {
    const answer = await this.send({ op }, op === "undo" ? "Undone" : "Done again");
    if (answer && !answer.changed.length && !answer.removed.length) say("Nothing left");
    return answer;
  }
}
