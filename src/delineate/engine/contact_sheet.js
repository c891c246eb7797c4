"use strict";
// Filters by name and class, the size of thumbnails, and one image enlarged (arrow keys go on, Escape closes).
const figures = [...document.querySelectorAll("main figure")];
const $ = (id) => document.getElementById(id);
const large = $("large");
const buttons = [...document.querySelectorAll(".classes button")];
document.querySelector(".tools").hidden = false;

function chosen() {
  return new Set(buttons.filter((b) => b.ariaPressed === "true").map((b) => b.dataset.class));
}

function dim(root, classes) {
  for (const path of root.querySelectorAll("path"))
    path.classList.toggle("off", classes.size > 0 && !classes.has(path.dataset.class));
}

function filter() {
  const words = $("search").value.toLowerCase();
  const classes = chosen();
  let shown = 0;
  for (const figure of figures) {
    const has = classes.size === 0 || (figure.dataset.classes || "").split("\n").some((c) => classes.has(c));
    figure.hidden = !(has && figure.dataset.name.toLowerCase().includes(words));
    shown += !figure.hidden;
    dim(figure, classes);
  }
  $("shown").textContent = shown === figures.length ? `${shown} images` : `${shown} of ${figures.length} images`;
}

let at = 0;
function enlarge(figure) {
  at = figures.indexOf(figure);
  const copy = figure.cloneNode(true);
  const shot = copy.querySelector(".shot");
  large.replaceChildren(copy);
  if (!large.open) large.showModal();
  if (!shot) return;
  const [width, height] = shot.style.getPropertyValue("--ratio").split("/").map(Number);
  const scale = Math.min((innerWidth - 30) / width, (innerHeight - 70) / height);
  shot.style.width = `${width * scale}px`;
}

function go(step) {
  const seen = figures.filter((f) => !f.hidden);
  const next = seen[(seen.indexOf(figures[at]) + step + seen.length) % seen.length];
  if (next) enlarge(next);
}

$("search").addEventListener("input", filter);
$("outlines").addEventListener("change", (e) => document.body.classList.toggle("no-outlines", !e.target.checked));
$("wash").addEventListener("change", (e) => document.body.classList.toggle("no-wash", !e.target.checked));
$("size").addEventListener("input", (e) => document.documentElement.style.setProperty("--size", `${e.target.value}px`));
for (const button of buttons)
  button.addEventListener("click", () => {
    button.ariaPressed = button.ariaPressed === "true" ? "false" : "true";
    filter();
  });
document.querySelector("main").addEventListener("click", (e) => {
  const shot = e.target.closest(".shot");
  if (shot) enlarge(shot.closest("figure"));
});
document.querySelector("main").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && e.target.matches(".shot")) enlarge(e.target.closest("figure"));
});
large.addEventListener("click", (e) => { if (!e.target.closest("a")) large.close(); });
document.addEventListener("keydown", (e) => {
  if (large.open && e.key === "ArrowRight") go(1);
  if (large.open && e.key === "ArrowLeft") go(-1);
});
filter();
