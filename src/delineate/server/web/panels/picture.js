// How the image and its objects are shown: channel, darkest and brightest value, gamma; fill, outline, colours.

import { button, choice, fill, h, settled, slider } from "../dom.js";

export class Picture {
  constructor(studio) {
    this.studio = studio;
    this.element = h("div.panel");
    studio.on("image", () => this.draw());
    studio.on("picture", () => this.set());
    studio.on("kept", () => this.set());
    this.soon = settled(90, (change) => studio.setPicture(change));
    this.draw();
  }

  draw() {
    const { studio } = this;
    const { image, kept } = studio;
    fill(this.element,
      h("h2", {}, "Image"),
      image ? this.values() : h("p.soft.small", {}, "No image is open."),
      h("h2", {}, "Objects"),
      (this.fill = slider({ label: "Fill", min: 0, max: 1, step: 0.05, value: kept.fill, show: percent, oninput: (value) => studio.keep({ fill: value }) })),
      (this.outline = slider({ label: "Outline", min: 0, max: 5, step: 0.2, value: kept.outline, show: (v) => `${v.toFixed(1)} px`, oninput: (value) => studio.keep({ outline: value }) })),
      (this.colours = choice({ label: "Colours", options: [["class", "By class"], ["object", "Each its own"], ["score", "By score"]], value: kept.colours, onchange: (value) => studio.keep({ colours: value }) })),
      choice({ label: "Zoomed in", options: [["", "Square pixels"], ["1", "Smooth"]], value: kept.smooth ? "1" : "", onchange: (value) => studio.keep({ smooth: value === "1" }) }));
  }

  values() {
    const { studio } = this;
    const { picture } = studio;
    const [low, high, step] = this.bounds();
    const show = (value) => (step < 1 ? value.toPrecision(3) : String(Math.round(value)));
    const both = { min: low, max: high, step, show };
    this.lo = slider({ ...both, label: "Darkest", value: picture.lo, oninput: (lo) => this.soon({ lo: Math.min(lo, studio.picture.hi - step) }) });
    this.hi = slider({ ...both, label: "Brightest", value: picture.hi, oninput: (hi) => this.soon({ hi: Math.max(hi, studio.picture.lo + step) }) });
    this.gamma = slider({ label: "Gamma", min: 0.25, max: 4, step: 0.05, value: picture.gamma, show: (v) => v.toFixed(2), oninput: (gamma) => this.soon({ gamma }) });
    const made = [this.lo, this.hi, this.gamma];
    this.channel = null;
    if (studio.image.channels > 1) {
      const rgb = studio.image.channels === 3 && studio.image.dtype === "uint8";
      const names = rgb ? ["Red", "Green", "Blue"] : null;
      const options = Array.from({ length: studio.image.channels }, (_, i) => [String(i), names?.[i] ?? `Channel ${i + 1}`]);
      this.channel = choice({ label: "Channel", options: [["all", "All"], ...options], value: picture.channel, onchange: (channel) => studio.setPicture({ channel }) });
      made.unshift(this.channel);
    }
    const whole = { uint8: [0, 255], uint16: [0, 65535] }[studio.image.dtype];
    made.push(h("div.buttons", {},
      button({ text: "Automatic", title: "Brightness and contrast as at first", keys: "I", onclick: () => this.reset(studio.image.range) }),
      whole && button({ text: "Full range", title: "From the least to the greatest value the file can hold", onclick: () => this.reset(whole) })));
    return made;
  }

  reset([lo, hi]) {
    this.studio.setPicture({ lo, hi, gamma: 1 });
  }

  /** Ends of the sliders: what the file's type can hold, or a range round what the image holds. */
  bounds() {
    const { dtype, range } = this.studio.image;
    if (dtype === "uint8") return [0, 255, 1];
    const wide = range[1] - range[0] || 1;
    const [low, high] = [range[0] - wide / 2, range[1] + wide];
    if (dtype.startsWith("uint") || dtype.startsWith("int")) return [dtype[0] === "u" ? Math.max(0, Math.floor(low)) : Math.floor(low), Math.ceil(high), 1];
    return [low, high, wide / 500];
  }

  set() {
    const { picture, kept } = this.studio;
    for (const key of ["fill", "outline"]) this[key].set(kept[key]);
    this.colours.select.value = kept.colours;
    if (!this.studio.image) return;
    for (const key of ["lo", "hi", "gamma"]) this[key].set(picture[key]);
    if (this.channel) this.channel.select.value = picture.channel;
  }
}

const percent = (value) => `${Math.round(value * 100)} %`;
