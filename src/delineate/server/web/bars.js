// The bar above, the tools at the left of the image, the bar that floats over it, and the status line below.

import { button, fill, h, settled, toast } from "./dom.js";
import { shownKey } from "./keys.js";
import { stateButtons } from "./panels/images.js";

/** @param byId function from a command's id to the command. */
export function topBar(studio, element, images, byId) {
  const act = (id, icon, text) => {
    const command = byId(id);
    return button({ icon, text, title: command.title, keys: command.keys[0] && shownKey(command.keys[0]),
      className: text ? "plain" : "bare", id: `do-${id}`, onclick: () => (!command.when || command.when()) && command.run() });
  };
  const name = h("strong.image-name");
  const size = h("span.soft.small");
  const zoom = button({ text: "100 %", title: "The whole image", keys: "0", className: "bare zoom", onclick: () => byId("fit").run() });
  const user = h("span.user.small");
  fill(element,
    act("images-panel", "list"), h("span.project", {}, "delineate"),
    act("previous-image", "previous"), act("next-image", "next"), h("span.titles", {}, name, size),
    h("span.grow"),
    stateButtons(studio, images),
    h("span.grow"),
    act("undo", "undo"), act("redo", "redo"), h("span.gap"),
    act("zoom-out", "minus"), zoom, act("zoom-in", "plus"), act("fit", "fit"), h("span.gap"),
    act("prelabel", "model", "Draw"), act("export", "download", "Export"), h("span.gap"),
    user, act("theme", "theme"), act("help", "help"));
  const draw = () => {
    const { image, project } = studio;
    element.querySelector(".project").textContent = project?.name ?? "delineate";
    element.querySelector(".project").title = project?.source ?? "";
    name.textContent = image?.name ?? "No image";
    name.title = image?.name ?? "";
    size.textContent = image ? `${image.width} × ${image.height}${image.channels > 1 ? ` × ${image.channels}` : ""} · ${image.dtype}` : "";
    document.title = image ? `${image.name} · ${project.name}` : "delineate studio";
    user.textContent = project?.user && project.user.name !== "local" ? `${project.user.name} · ${project.user.role}` : "";
    for (const id of ["undo", "redo", "prelabel"]) element.querySelector(`#do-${id}`).disabled = !studio.canEdit;
  };
  studio.on("project image", draw);
  studio.on("view image", () => (zoom.querySelector("span").textContent = `${Math.round(studio.view.scale * 100)} %`));
}

/** The strip of tools, one button each. */
export function toolBar(studio, element, tools, byId) {
  const actions = [["merge", "merge"], ["fill-holes", "solid"], ["front", "front"], ["delete", "trash"]];
  const draw = () => {
    const made = Object.entries(tools.all).filter(([, tool]) => !tool.changes || studio.canEdit || !studio.image).map(([name, tool]) =>
      button({ icon: name, title: tool.title, keys: shownKey(byId(name).keys[0]), className: "tool", id: `tool-${name}`,
        "aria-pressed": String(tools.name === name), onclick: () => tools.use(name) }));
    const rest = actions.map(([id, icon]) => {
      const command = byId(id);
      return button({ icon, title: command.title, keys: shownKey(command.keys[0]), className: "tool", id: `act-${id}`,
        disabled: !(command.when ? command.when() : studio.selected.size && studio.canEdit), onclick: () => command.run() });
    });
    fill(element, ...made, h("hr"), ...(studio.canEdit ? rest : []));
  };
  studio.on("tool project image selection", settled(0, draw));
  draw();
}

/** Options of the tool in hand, over the image. */
export function floatBar(studio, element, tools) {
  const draw = () => {
    const options = studio.canEdit ? (tools.now?.options() ?? []) : [];
    element.hidden = options.length === 0;
    fill(element, ...options);
  };
  studio.on("tool options image", draw);
  studio.on("advice", (text) => toast(text, { seconds: 5 }));
}

export function statusBar(studio, element, tools, edits) {
  const place = h("span.place");
  const hint = h("span.hint");
  const count = h("span");
  const saved = h("span.saved", { role: "status" });
  fill(element, hint, h("span.grow"), place, count, saved);
  studio.on("tool", () => (hint.textContent = tools.now.hint));
  studio.on("position", (at) => (place.textContent = at ? `x ${Math.floor(at[0])}  y ${Math.floor(at[1])}` : ""));
  studio.on("image objects selection filter", () => {
    const { size } = studio.objects;
    const chosen = studio.selected.size ? `${studio.selected.size} of ` : "";
    count.textContent = studio.image ? `${chosen}${size} object${size === 1 ? "" : "s"}${studio.filter ? ", filtered" : ""}` : "";
  });
  const draw = () => {
    const text = edits.lost ? `Not saved yet: ${edits.waiting} waiting` : edits.waiting ? "Saving…" : "Saved";
    saved.textContent = text;
    saved.className = `saved ${edits.lost ? "lost" : edits.waiting ? "busy" : ""}`;
    const notice = document.getElementById("notice");
    notice.textContent = edits.lost ? "The server does not answer. Your work is kept on this page and is sent when it is back: leave the page open." : "";
  };
  studio.on("saving image", draw);
}
