"use strict";
// Rows and objects tied together. Only the rows in sight are in the page, so thousands stay quick.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const HIGH = 24; // pixels of a row, as in the style
const count = data.marked.length;
const picture = $("picture"), rows = $("rows"), body = document.querySelector("#table tbody");
const paths = new Map([...picture.querySelectorAll("path")].map((p) => [Number(p.dataset.i), p]));
const numbers = data.values[data.key];
let order = [...Array(count).keys()], seen = order, chosen = -1, sorted = [data.key, 1];

function cell(i, c) {
  const value = data.values[c][i];
  if (value === null) return "–";
  if (data.columns[c].kind === "mark") return value ? "yes" : "";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
}

function heads() {
  const columns = document.createElement("colgroup"), line = document.createElement("tr");
  let whole = 0;
  data.columns.forEach((column, c) => {
    let letters = Math.min(15, Math.max(column.unit.length, ...column.name.split(/[_ ]/).map((w) => w.length)) + 1);
    for (let i = 0; i < count; i++) letters = Math.max(letters, Math.min(30, cell(i, c).length));
    const width = Math.round(letters * 7.4 + 20);
    whole += width;
    const col = document.createElement("col");
    col.style.width = `${width}px`;
    columns.append(col);
    const th = document.createElement("th"), button = document.createElement("button");
    button.type = "button";
    const name = document.createElement("span");
    name.append(...column.name.split("_").flatMap((w, k) => (k ? [document.createElement("wbr"), "_" + w] : [w])));
    button.append(name);
    if (column.unit) button.append(Object.assign(document.createElement("small"), { textContent: column.unit }));
    button.title = column.source;
    button.addEventListener("click", () => sort(c));
    th.className = column.kind === "text" ? "text" : "";
    th.scope = "col";
    th.append(button);
    line.append(th);
  });
  const table = $("table");
  table.style.width = `${whole}px`;
  table.prepend(columns);
  table.querySelector("thead").append(line);
}

function sort(c) {
  sorted = sorted[0] === c ? [c, -sorted[1]] : [c, 1];
  rows.scrollTop = 0;
  arrange();
}

function arrange() {
  const [c, way] = sorted, values = data.values[c];
  order.sort((a, b) => {
    const x = values[a], y = values[b];
    if (x === null || y === null) return (x === null) - (y === null) || a - b; // the unknown comes last
    const less = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
    return way * less || a - b;
  });
  document.querySelectorAll("th").forEach((th, k) => {
    if (k === c) th.ariaSort = way > 0 ? "ascending" : "descending";
    else th.removeAttribute("aria-sort");
  });
  filter();
}

function filter() {
  const word = $("find").value.trim().toLowerCase(), marked = $("marked").checked;
  const texts = data.columns.flatMap((column, c) => (column.kind === "text" ? [data.values[c]] : []));
  const fits = (i) =>
    (!marked || data.marked[i]) &&
    (!word || String(numbers[i]) === word || texts.some((t) => t[i] !== null && t[i].toLowerCase().includes(word)));
  seen = order.filter(fits);
  const shown = new Set(seen);
  for (const [i, path] of paths) path.classList.toggle("off", !shown.has(i));
  $("shown").textContent = seen.length === count ? `${count} rows` : `${seen.length} of ${count} rows`;
  draw();
}

function gap(high) {
  const line = document.createElement("tr"), td = document.createElement("td");
  line.className = "gap";
  td.colSpan = data.columns.length;
  td.style.height = `${high}px`;
  line.append(td);
  return line;
}

function draw() {
  const most = Math.ceil(rows.clientHeight / HIGH) + 24;
  const first = Math.max(0, Math.min(Math.floor(rows.scrollTop / HIGH) - 12, seen.length - most));
  const last = Math.min(seen.length, first + most);
  const lines = seen.slice(first, last).map((i) => {
    const line = document.createElement("tr");
    line.dataset.i = i;
    line.ariaSelected = String(i === chosen);
    if (data.marked[i]) line.className = "marked";
    data.columns.forEach((column, c) => {
      const td = document.createElement("td");
      td.textContent = cell(i, c);
      if (column.kind === "text") td.className = "text";
      line.append(td);
    });
    return line;
  });
  body.replaceChildren(gap(first * HIGH), ...lines, gap((seen.length - last) * HIGH));
}

const texts = [...picture.querySelectorAll("text")].map((t) => [Number(t.getAttribute("font-size")), t]);
const LEGIBLE = 6; // pixels on the screen; smaller numbers wait until the picture is enlarged

function letter() {
  const scale = picture.getScreenCTM().a;
  for (const [size, text] of texts) text.classList.toggle("small", size * scale < LEGIBLE);
}

const whole = picture.viewBox.baseVal;
const full = [whole.x, whole.y, whole.width, whole.height];
let view = [...full];
const MOST = 60; // times

function look(next) {
  const wide = Math.min(full[2], Math.max(full[2] / MOST, next[2])), tall = (wide * full[3]) / full[2];
  const inside = (at, side, end) => Math.min(Math.max(at, 0), end - side);
  view = [inside(next[0] + (next[2] - wide) / 2, wide, full[2]), inside(next[1] + (next[3] - tall) / 2, tall, full[3]), wide, tall];
  picture.setAttribute("viewBox", view.join(" "));
  letter();
}

function pixel(event) { // of the image, under the pointer
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
  return [at.x, at.y];
}

function show(i) {
  const path = paths.get(i);
  if (!path) return;
  const box = path.getBBox(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  const scale = picture.getScreenCTM().a, side = Math.max(box.width, box.height);
  const small = side * scale < 14;
  const inside = box.x >= view[0] && box.y >= view[1] && box.x + box.width <= view[0] + view[2] && box.y + box.height <= view[1] + view[3];
  if (inside && !small) return;
  const wide = small ? side * 12 : Math.max(view[2], side * 2), tall = (wide * full[3]) / full[2];
  look([x - wide / 2, y - tall / 2, wide, tall]);
}

function choose(i, toRow, toObject) {
  paths.get(chosen)?.classList.remove("chosen");
  chosen = i;
  const path = paths.get(i);
  if (path) {
    path.classList.add("chosen");
    path.parentNode.append(path); // over its neighbours
  }
  if (toRow) {
    if (!seen.includes(i)) {
      $("find").value = "";
      $("marked").checked = false;
      filter();
    }
    const at = seen.indexOf(i) * HIGH, head = document.querySelector("thead").offsetHeight;
    if (at < rows.scrollTop || at + HIGH + head > rows.scrollTop + rows.clientHeight)
      rows.scrollTop = Math.max(0, at - (rows.clientHeight - head) / 2);
  }
  if (toObject) show(i);
  $("shown").textContent = path ? `object ${numbers[i]}` : `object ${numbers[i]} has no pixels to show`;
  history.replaceState(null, "", `#${numbers[i]}`);
  draw();
}

function fromAddress() {
  const i = numbers.indexOf(Number(location.hash.slice(1)));
  if (location.hash && i >= 0) choose(i, true, true);
}

let from = null, moved = false;
picture.addEventListener("pointerdown", (e) => {
  from = [e.clientX, e.clientY, ...view];
  moved = false;
});
picture.addEventListener("pointermove", (e) => {
  if (!from || !e.buttons) return;
  const scale = picture.getScreenCTM().a, dx = e.clientX - from[0], dy = e.clientY - from[1];
  if (!moved && Math.hypot(dx, dy) < 4) return;
  if (!moved) picture.setPointerCapture(e.pointerId);
  moved = true;
  picture.classList.add("drag");
  look([from[2] - dx / scale, from[3] - dy / scale, from[4], from[5]]);
});
for (const end of ["pointerup", "pointercancel"])
  picture.addEventListener(end, () => {
    from = null;
    picture.classList.remove("drag");
  });
picture.addEventListener("click", (e) => {
  const path = e.target.closest("path");
  if (path && !moved) choose(Number(path.dataset.i), true, false);
});
picture.addEventListener("wheel", (e) => {
  e.preventDefault();
  const [x, y] = pixel(e), times = Math.exp(e.deltaY * 0.0016);
  const wide = Math.min(full[2], Math.max(full[2] / MOST, view[2] * times)), by = wide / view[2];
  look([x - (x - view[0]) * by, y - (y - view[1]) * by, wide, view[3] * by]);
}, { passive: false });
body.addEventListener("click", (e) => {
  const line = e.target.closest("tr[data-i]");
  if (line) choose(Number(line.dataset.i), false, true);
});
rows.addEventListener("keydown", (e) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (!step || !seen.length) return;
  e.preventDefault();
  const at = seen.indexOf(chosen);
  choose(seen[at < 0 ? 0 : Math.min(seen.length - 1, Math.max(0, at + step))], true, true);
});
rows.addEventListener("scroll", draw);
addEventListener("resize", () => {
  draw();
  letter();
});
addEventListener("hashchange", fromAddress);
$("find").addEventListener("input", filter);
$("marked").addEventListener("change", filter);
$("outlines").addEventListener("change", (e) => picture.classList.toggle("bare", !e.target.checked));
$("numbers").addEventListener("change", (e) => picture.classList.toggle("mute", !e.target.checked));
$("whole").addEventListener("click", () => look(full));
heads();
arrange();
letter();
fromAddress();
