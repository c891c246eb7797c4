// Everything the page can do, in one table: keys, the help page, the command list and buttons all read it.

import { say, toast } from "./dom.js";

const TOOL_KEYS = [
  ["select", "v"], ["hand", "h"], ["polygon", "p"], ["brush", "b"], ["eraser", "e"], ["box", "r"], ["click", "s"],
  ["wand", "w"], ["knife", "k"], ["hole", "o"], ["vertices", "n"],
];

/** @param parts {studio, edits, stage, tools, dialogs, images, model}: what commands act on. */
export function commands(parts) {
  const { tools } = parts;
  const toolRows = TOOL_KEYS.map(([name, key]) => ({
    id: name, title: tools.all[name].title, group: "Tools", keys: [key], tool: true, run: () => tools.use(name),
    when: () => !tools.all[name].changes || parts.studio.canEdit,
  }));
  return [...toolRows, ...drawing(parts), ...objects(parts), ...looking(parts), ...images(parts), ...model(parts), ...page(parts)];
}

const row = (id, title, group, keys, run, when = null) => ({ id, title, group, keys, run, when });

function drawing({ studio, edits, stage, tools }) {
  const wider = (factor, step) => () => {
    const tool = stage.tool;
    if (tool === tools.all.wand) tool.size(studio.kept.tolerance + step);
    else tool.size?.(Math.max(1, Math.round(tool.radius * factor + step / 2)));
    studio.tell("options");
  };
  const begun = (act) => () => stage.tool?.[act]();
  const group = "Drawing";
  return [
    row("finish", "Finish: close the outline, keep the proposal", group, ["enter"], begun("finish")),
    row("cancel", "Give up what was begun; then select nothing", group, ["esc"],
      () => stage.tool?.cancel() || studio.select([])),
    row("wider", "Larger brush, or more tolerance", group, ["]"], wider(1.2, 2), () => stage.tool?.size),
    row("narrower", "Smaller brush, or less tolerance", group, ["["], wider(0.8, -2), () => stage.tool?.size),
    row("snap", "Polygon snaps to edges, or not", group, ["a"], () => {
      tools.all.polygon.snap();
      say(studio.kept.snaps ? "Snaps to edges" : "Does not snap");
    }),
    row("undo", "Undo", group, ["ctrl+z"], () => edits.undo("undo"), () => studio.canEdit),
    row("redo", "Redo", group, ["ctrl+shift+z", "ctrl+y"], () => edits.undo("redo"), () => studio.canEdit),
  ];
}

function objects({ studio, edits, stage, dialogs }) {
  const group = "Objects";
  const some = () => studio.canEdit && studio.selected.size > 0;
  const ids = () => [...studio.selected];
  const send = (op, said, more = {}) => () => edits.send({ op, ids: ids(), ...more }, said);
  const nudge = (dx, dy) => () => edits.send({ op: "move", ids: ids(), dx, dy }, "Moved");
  const nudges = [["left", -1, 0], ["right", 1, 0], ["up", 0, -1], ["down", 0, 1]].flatMap(([key, dx, dy]) => [
    row(`nudge-${key}`, `Move the selected one pixel ${key}`, group, [`alt+${key}`], nudge(dx, dy), some),
    row(`nudge-far-${key}`, `Move the selected ten pixels ${key}`, group, [`alt+shift+${key}`], nudge(10 * dx, 10 * dy), some),
  ]);
  const classes = Array.from({ length: 9 }, (_, i) =>
    row(`class-${i + 1}`, `Class ${i + 1}: of the selected, and of what is drawn next`, group, [`${i + 1}`],
      () => useClass(studio, edits, studio.project.classes[i]), () => studio.project?.classes[i]));
  return [
    row("next-object", "Select the next object", group, ["."], () => step(studio, stage, 1)),
    row("previous-object", "Select the object before", group, [","], () => step(studio, stage, -1)),
    row("all", "Select every object shown", group, ["ctrl+a"], () =>
      studio.select([...studio.objects.values()].filter((each) => !studio.filter || studio.filter(each)).map(({ id }) => id))),
    row("delete", "Delete the selected; while drawing, take the last point back", group, ["del", "backspace"], () => {
      if (stage.tool?.back()) return;
      if (some()) edits.delete(ids());
    }),
    row("merge", "Merge the selected into one", group, ["m"], () => edits.merge(ids()), some),
    row("fill-holes", "Fill the holes of the selected", group, ["shift+o"],
      () => ids().forEach((id) => edits.send({ op: "fill_holes", id }, "Holes filled")), some),
    row("front", "Bring the selected to the front", group, ["ctrl+]"], send("order", "In front", { to: "front" }), some),
    row("back", "Send the selected to the back", group, ["ctrl+["], send("order", "At the back", { to: "back" }), some),
    row("crowd", "Mark the selected as a crowd region, or not", group, ["shift+c"], () =>
      edits.send({ op: "crowd", ids: ids(), value: !studio.chosen.every(({ crowd }) => crowd) }, "Crowd set"), some),
    row("note", "Write a comment on the selected object", group, ["shift+n"], () => dialogs.objectComment(), () => some() && studio.selected.size === 1),
    row("class", "Choose a class by its name", group, ["c"], () => dialogs.classes(), () => studio.project),
    ...classes,
    ...nudges,
  ];
}

/** Take a class for what is drawn next, and give it to what is selected. */
export function useClass(studio, edits, given) {
  if (!given) return;
  studio.setClass(given.id);
  say(`Class ${given.name}`);
  const other = studio.chosen.filter((object) => object.class_id !== given.id).map(({ id }) => id);
  if (other.length && studio.canEdit) edits.setClass(other, given.id);
}

function step(studio, stage, by) {
  const shown = [...studio.objects.values()].filter((each) => !studio.filter || studio.filter(each));
  if (!shown.length) return say("No objects");
  shown.sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0] || a.id - b.id);
  const at = shown.findIndex((each) => each.id === [...studio.selected].at(-1));
  const next = (at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by + shown.length) % shown.length;
  const object = shown[next];
  studio.select([object.id]);
  const [x1, y1, x2, y2] = object.box;
  studio.view.reveal((x1 + x2) / 2, (y1 + y2) / 2, 120);
  studio.tell("view");
  stage.ask();
  return say(`${studio.className(object.class_id)}, ${object.area} pixels, ${next + 1} of ${shown.length}`);
}

function looking({ studio, stage }) {
  const group = "Looking";
  const { view } = studio;
  const zoom = (act) => () => {
    if (!studio.image) return;
    act();
    studio.tell("view");
  };
  const whole = () => view.fit([0, 0, studio.image.width, studio.image.height], 0.04, 8);
  const around = () => {
    const boxes = studio.chosen.map(({ box }) => box);
    if (!boxes.length) return whole();
    const box = boxes.reduce((a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])]);
    return view.fit(box, 0.3, 16);
  };
  const pan = (dx, dy) => zoom(() => view.panBy(dx * view.width * 0.25, dy * view.height * 0.25));
  const opacity = (by) => () => studio.keep({ fill: Math.max(0, Math.min(1, Math.round((studio.kept.fill + by) * 20) / 20)) });
  const channel = () => {
    const list = ["all", ...Array.from({ length: studio.image?.channels ?? 0 }, (_, i) => String(i))];
    studio.setPicture({ channel: list[(list.indexOf(studio.picture.channel) + 1) % list.length] });
    say(`Channel ${studio.picture.channel}`);
  };
  return [
    row("zoom-in", "Zoom in", group, ["+", "="], zoom(() => view.zoomTo(view.scale * 1.25))),
    row("zoom-out", "Zoom out", group, ["-"], zoom(() => view.zoomTo(view.scale / 1.25))),
    row("fit", "The whole image", group, ["0"], zoom(whole)),
    row("full", "One image pixel to one screen pixel", group, ["shift+0"], zoom(() => view.zoomTo(1))),
    row("around", "Zoom to the selected", group, ["f"], zoom(around)),
    row("pan-left", "Move the view left", group, ["shift+a"], pan(1, 0)),
    row("pan-right", "Move the view right", group, ["shift+f"], pan(-1, 0)),
    row("pan-up", "Move the view up", group, ["shift+w"], pan(0, 1)),
    row("pan-down", "Move the view down", group, ["shift+s"], pan(0, -1)),
    row("outlines", "Show the objects, or the image alone", group, ["t"], () => {
      studio.keep({ shown: !studio.kept.shown });
      say(studio.kept.shown ? "Objects shown" : "Objects hidden");
    }),
    row("fuller", "Fill objects more", group, [">"], opacity(0.1)),
    row("fainter", "Fill objects less", group, ["<"], opacity(-0.1)),
    row("colours", "Colour by class, object or score", group, ["shift+v"], () => {
      const list = ["class", "object", "score"];
      studio.keep({ colours: list[(list.indexOf(studio.kept.colours) + 1) % 3] });
      say(`Coloured by ${studio.kept.colours}`);
    }),
    row("channel", "Next channel", group, ["l"], channel),
    row("automatic", "Brightness and contrast as at first", group, ["i"], () => {
      const [lo, hi] = studio.image?.range ?? [0, 255];
      studio.setPicture({ lo, hi, gamma: 1 });
    }),
    row("brighter", "Brighter", group, ["shift+b"], () => studio.setPicture({ gamma: Math.min(4, studio.picture.gamma * 1.15) })),
    row("darker", "Darker", group, ["shift+d"], () => studio.setPicture({ gamma: Math.max(0.25, studio.picture.gamma / 1.15) })),
  ];
}

function images({ studio, images: list, dialogs }) {
  const group = "Images";
  const states = [["todo", "to do"], ["done", "done"], ["reviewed", "reviewed"], ["rejected", "rejected"]];
  return [
    row("next-image", "Next image", group, ["pagedown"], () => list.step(1)),
    row("previous-image", "Image before", group, ["pageup"], () => list.step(-1)),
    row("done-next", "Done, and on to the next image", group, ["ctrl+enter"], () => list.doneAndNext(), () => studio.canEdit),
    ...states.map(([state, text], i) =>
      row(`state-${state}`, `Mark the image ${text}`, group, [`shift+${i + 1}`], () => list.setState(state), () => studio.canEdit)),
    row("queue", "The image that is worth most to label next", group, ["q"], () => list.fromQueue()),
    row("find-image", "Find an image by name", group, ["/"], () => list.find()),
    row("comment", "Comment on the image", group, ["shift+m"], () => dialogs.comment()),
  ];
}

function model({ studio, model: panel }) {
  const group = "The model draws";
  const some = () => studio.canEdit;
  return [
    row("prelabel", "Let the model draw on this image", group, ["d"], () => panel.prelabel(), some),
    row("accept", "Accept the selected suggestions", group, ["y"], () => panel.acceptChosen(), some),
    row("reject", "Reject the selected suggestions", group, ["x"], () => panel.rejectChosen(), some),
    row("accept-above", "Accept suggestions at or above the confidence", group, ["shift+y"], () => panel.acceptAbove(), some),
    row("reject-below", "Reject suggestions below the confidence", group, ["shift+x"], () => panel.rejectBelow(), some),
    row("raise", "Raise the confidence", group, ["'"], () => panel.shiftThreshold(0.05)),
    row("lower", "Lower the confidence", group, [";"], () => panel.shiftThreshold(-0.05)),
    row("propagate", "Carry the selected objects to the next image", group, ["g"], () => panel.propagate(), some),
    row("train", "Learn from the corrections", group, ["shift+l"], () => panel.trainDialog(), () => studio.may("reviewer")),
  ];
}

function page({ studio, dialogs, panels }) {
  const group = "Page";
  const themes = ["system", "light", "dark"];
  return [
    row("help", "Every key", group, ["?"], () => dialogs.help()),
    row("list", "Find a command by its name", group, ["ctrl+k"], () => dialogs.commandList()),
    row("export", "Export the data set", group, ["shift+e"], () => dialogs.exportAs()),
    row("theme", "Light, dark, or as the system is", group, ["shift+t"], () => {
      const theme = themes[(themes.indexOf(studio.kept.theme) + 1) % 3];
      studio.keep({ theme });
      toast(`Theme: ${theme}`, { seconds: 2 });
    }),
    row("images-panel", "Show the list of images, or hide it", group, ["shift+i"], () => studio.keep({ listed: !studio.kept.listed })),
    ...["objects", "model", "picture", "notes"].map((name, i) =>
      row(`side-${name}`, `Go to the panel: ${name}`, group, [`alt+${i + 1}`], () => panels.show(name))),
    row("to-canvas", "Go to the image", group, ["alt+0"], () => document.getElementById("canvas").focus()),
    row("copy-link", "Copy a link to this image", group, ["shift+u"], async () => {
      await navigator.clipboard.writeText(location.href);
      toast("Link copied.", { seconds: 2 });
    }),
  ];
}

