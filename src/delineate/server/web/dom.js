// Elements made by functions: text is always text, so no name from a data set can become markup.

import { ICONS } from "./icons.js";

/**
 * An element.
 * @param {string} name of the element, with classes after dots: "button.plain".
 * @param {object} given properties; "on…" are listeners, "aria-…", "data-…" and "role" attributes.
 * @param {...(Node|string|number|null|false|Array)} children what stands in it; null and false are left out.
 */
export function h(name, given = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key in element && !key.startsWith("aria") && key !== "role" && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** Put children in place of what stands in an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** A line drawing of 20 x 20, named in icons.js. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  for (const d of ICONS[name] ?? []) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** A button with an icon, a text or both; `title` names it for the pointer and for screen readers. */
export function button({ icon: drawing, text, title, keys, ...given }) {
  const told = keys ? `${title ?? text} (${keys})` : title;
  const made = h("button", { type: "button", title: told ?? null, "aria-label": text ? null : title, ...given });
  if (drawing) made.append(icon(drawing));
  if (text) made.append(h("span", {}, text));
  return made;
}

/** A labelled slider that shows its value. */
export function slider({ label, min, max, step, value, show = String, oninput }) {
  const shown = h("output", {}, show(value));
  const input = h("input", { type: "range", min, max, step, "aria-label": label });
  input.value = value;
  input.addEventListener("input", () => {
    shown.textContent = show(Number(input.value));
    oninput(Number(input.value));
  });
  const made = h("label.slider", {}, h("span", {}, label), input, shown);
  made.set = (next) => {
    input.value = next;
    shown.textContent = show(Number(next));
  };
  made.bounds = (low, high, by) => Object.assign(input, { min: low, max: high, step: by });
  return made;
}

/** A labelled choice of one from several: options are [value, text] pairs. */
export function choice({ label, options, value, onchange, hidden = false }) {
  const select = h("select", { "aria-label": label });
  const put = (given) =>
    fill(select, ...given.map(([each, text]) => h("option", { value: each }, text)));
  put(options);
  select.value = value;
  select.addEventListener("change", () => onchange(select.value));
  const made = hidden ? select : h("label.choice", {}, h("span", {}, label), select);
  made.select = select;
  made.put = (given, next) => {
    put(given);
    select.value = next;
  };
  return made;
}

/** A box to tick. */
export function tick({ label, value, onchange }) {
  const input = h("input", { type: "checkbox", checked: value });
  input.addEventListener("change", () => onchange(input.checked));
  const made = h("label.tick", {}, input, h("span", {}, label));
  made.set = (next) => (input.checked = next);
  return made;
}

/** Say something to a screen reader. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** A message that goes away by itself, with buttons where something can be done: [text, function] pairs. */
export function toast(text, { kind = "plain", actions = [], seconds = 6 } = {}) {
  const place = document.getElementById("toasts");
  const made = h(`div.toast.${kind}`, {}, h("span", {}, text));
  const away = () => made.remove();
  for (const [label, act] of actions)
    made.append(button({ text: label, onclick: () => (away(), act()) }));
  made.append(button({ icon: "close", title: "Close this message", className: "bare", onclick: away }));
  place.append(made);
  while (place.children.length > 4) place.firstChild.remove();
  if (seconds) setTimeout(away, seconds * 1000);
  return away;
}

/** A function that runs once, `delay` ms after its last call. */
export function settled(delay, run) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), delay);
  };
}
