// What the model does: draw first, be judged by its confidence, carry objects on, learn from corrections.

import { api, finished } from "../api.js";
import { button, choice, fill, h, say, slider, toast } from "../dom.js";

const STRATEGIES = [["coverage", "Stands for most"], ["mixed", "Stands for most, and doubtful"], ["uncertainty", "Least certain"], ["disagreement", "Least agreed"], ["diversity", "Least alike"], ["random", "By chance"]];
const show = (value) => value.toFixed(2);

export class Model {
  constructor(studio, edits, images) {
    Object.assign(this, { studio, edits, images, job: null });
    this.element = h("div.panel");
    studio.on("project image", () => this.draw());
    studio.on("objects image kept", () => this.counts());
    studio.on("ask-propagate", () => this.propagate());
  }

  draw() {
    const { studio } = this;
    if (!studio.project) return;
    const { models, model } = studio.project;
    const may = studio.canEdit;
    const options = (models ?? []).map((name) => [name, name]);
    this.told = h("p.soft.small");
    this.bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress of the job" });
    this.stop = button({ text: "Cancel", title: "Cancel the job", hidden: true, onclick: () => this.cancel() });
    this.accept = button({ icon: "check", text: "Accept", title: "Accept suggestions at or above the confidence", keys: "Shift+Y", className: "main", onclick: () => this.acceptAbove() });
    this.reject = button({ icon: "close", text: "Reject", title: "Reject suggestions below the confidence", keys: "Shift+X", onclick: () => this.rejectBelow() });
    this.threshold = slider({ label: "Confidence", min: 0, max: 1, step: 0.01, value: studio.kept.threshold, show, oninput: (threshold) => studio.keep({ threshold }) });
    fill(this.element,
      h("h2", {}, "The model draws first"),
      !options.length && h("p.soft.small", {}, "No model is open. Start the studio with --model NAME."),
      options.length > 0 && choice({ label: "Model", options, value: this.chosen ?? model?.name ?? options[0][0], onchange: (name) => (this.chosen = name) }),
      options.length > 0 && slider({ label: "Suggest from", min: 0.05, max: 0.95, step: 0.05, value: studio.kept.confidence, show, oninput: (confidence) => studio.keep({ confidence }) }),
      options.length > 0 && h("div.buttons", {}, button({ icon: "model", text: "Draw on this image", title: "Let the model draw on this image", keys: "D", disabled: !may, onclick: () => this.prelabel() })),
      this.told, h("div.line", {}, this.bar, this.stop),
      h("h2", {}, "Suggestions"),
      (this.waiting = h("p.small")),
      this.threshold,
      h("div.buttons", {}, this.accept, this.reject),
      h("h2", {}, "What next"),
      choice({ label: "Order", options: STRATEGIES, value: studio.kept.strategy, onchange: (strategy) => studio.keep({ strategy }) }),
      h("div.buttons", {},
        button({ icon: "queue", text: "Next by worth", title: "The image that is worth most to label next", keys: "Q", onclick: () => this.images.fromQueue() }),
        button({ icon: "carry", text: "Carry on", title: "Carry the selected objects to the next image", keys: "G", disabled: !may, onclick: () => this.propagate() }),
        button({ icon: "train", text: "Learn…", title: "Learn from the corrections", keys: "Shift+L", disabled: !studio.may("reviewer"), onclick: () => this.trainDialog() })));
    this.counts();
    this.showJob();
  }

  get suggested() {
    return [...this.studio.objects.values()].filter((object) => object.suggested);
  }

  /** Suggestions at or above the confidence, and those below. */
  get parted() {
    const { threshold } = this.studio.kept;
    const above = [];
    const below = [];
    for (const object of this.suggested) ((object.score ?? 1) >= threshold ? above : below).push(object.id);
    return { above, below };
  }

  counts() {
    if (!this.waiting) return;
    const { above, below } = this.parted;
    const all = above.length + below.length;
    this.waiting.textContent = all ? `${all} wait for you: ${above.length} at or above ${show(this.studio.kept.threshold)}, ${below.length} below.` : "None wait on this image.";
    this.accept.querySelector("span").textContent = `Accept ${above.length || ""}`;
    this.reject.querySelector("span").textContent = `Reject ${below.length || ""}`;
    this.accept.disabled = !above.length || !this.studio.canEdit;
    this.reject.disabled = !below.length || !this.studio.canEdit;
    this.threshold.set(this.studio.kept.threshold);
  }

  shiftThreshold(by) {
    const threshold = Math.max(0, Math.min(1, Math.round((this.studio.kept.threshold + by) * 100) / 100));
    this.studio.keep({ threshold });
    const { above, below } = this.parted;
    say(`Confidence ${show(threshold)}: ${above.length} at or above, ${below.length} below`);
  }

  judge(op, ids, none) {
    if (!ids.length) return toast(none, { seconds: 4 });
    return this.edits.send({ op, ids }, `${ids.length} ${op}ed`);
  }

  acceptAbove() {
    return this.judge("accept", this.parted.above, "No suggestion reaches the confidence.");
  }

  rejectBelow() {
    return this.judge("reject", this.parted.below, "No suggestion lies below the confidence.");
  }

  acceptChosen() {
    return this.judge("accept", this.chosenSuggestions, "Select suggestions to accept them.");
  }

  rejectChosen() {
    return this.judge("reject", this.chosenSuggestions, "Select suggestions to reject them.");
  }

  get chosenSuggestions() {
    return this.studio.chosen.filter(({ suggested }) => suggested).map(({ id }) => id);
  }

  async prelabel() {
    const { studio } = this;
    const name = this.chosen ?? studio.project.model?.name ?? studio.project.models?.[0];
    if (!name) return toast("No model is open. Start the studio with --model NAME.", { kind: "bad" });
    const image = studio.image.id;
    this.told.textContent = "The model looks at the image…";
    const began = performance.now();
    try {
      const answer = await api.prelabel(image, { model: name, confidence: studio.kept.confidence });
      if (answer.job) await this.follow(answer.job);
      else if (studio.image.id === image) studio.take(answer);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      this.told.textContent = `${this.suggested.length} suggestions after ${seconds} s.`;
      say(this.told.textContent);
    } catch (error) {
      this.told.textContent = "";
      toast(error.message, { kind: "bad", seconds: 10 });
    }
    return undefined;
  }

  async propagate() {
    const { studio, images } = this;
    const ids = [...studio.selected];
    if (!ids.length) return toast("Select the objects to carry to the next image.", { seconds: 4 });
    const next = await images.at(images.index + 1);
    if (!next || images.index + 1 >= images.total) return toast("There is no next image in the list.", { seconds: 4 });
    try {
      await api.propagate(studio.image.id, { ids, to: next.id });
      await images.open(next.id);
      say(`${ids.length} carried to ${next.name}`);
    } catch (error) {
      toast(error.message, { kind: "bad", seconds: 10 });
    }
    return undefined;
  }

  trainDialog() {
    const minutes = h("input", { type: "number", value: 10, min: 1, max: 1440, step: 1, "aria-label": "Minutes" });
    this.studio.tell("dialog", {
      title: "Learn from the corrections",
      body: [h("p", {}, "The model trains on the images marked done or reviewed; when it is through, it takes the place of the one that draws now."),
        h("label.choice", {}, h("span", {}, "Minutes"), minutes)],
      done: "Train",
      take: () => this.train(Number(minutes.value)),
    });
  }

  async train(minutes) {
    try {
      const { job } = await api.train({ minutes });
      const last = await this.follow(job);
      toast(last.text || `Training ${last.state}.`, { kind: last.state === "failed" ? "bad" : "plain", seconds: 12 });
      await this.studio.refreshProject();
    } catch (error) {
      toast(error.message, { kind: "bad", seconds: 12 });
    }
  }

  /** Show a job until it ends. */
  async follow(id) {
    this.job = { id, state: "running", progress: 0, text: "" };
    const last = await finished(id, (now) => {
      this.job = { ...now, id };
      this.showJob();
    });
    this.job = null;
    this.showJob();
    if (last.state === "failed") toast(last.text || "The job failed.", { kind: "bad", seconds: 12 });
    return last;
  }

  showJob() {
    if (!this.bar) return;
    this.bar.hidden = this.stop.hidden = this.job === null;
    if (!this.job) return;
    this.bar.value = this.job.progress ?? 0;
    this.told.textContent = this.job.text ?? "";
  }

  async cancel() {
    if (this.job) await api.cancel(this.job.id).catch((error) => toast(error.message, { kind: "bad" }));
  }
}
