// Puts the page together.

import { Refused } from "./api.js";
import { floatBar, statusBar, toolBar, topBar } from "./bars.js";
import { commands } from "./commands.js";
import { Dialogs } from "./dialogs.js";
import { h, fill, toast } from "./dom.js";
import { Edits } from "./edits.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { Classes } from "./panels/classes.js";
import { Images } from "./panels/images.js";
import { Model } from "./panels/model.js";
import { Notes } from "./panels/notes.js";
import { ObjectList } from "./panels/objects.js";
import { Picture } from "./panels/picture.js";
import { Side } from "./panels/side.js";
import { Pointer } from "./pointer.js";
import { Stage } from "./stage.js";
import { Studio } from "./studio.js";
import { Tools } from "./tools.js";

const at = (id) => document.getElementById(id);

function dress(studio) {
  const { theme } = studio.kept;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function build() {
  const studio = new Studio();
  dress(studio);
  studio.on("kept", () => dress(studio));
  const stage = new Stage(studio, at("canvas"));
  const edits = new Edits(studio);
  const tools = new Tools(studio, edits, stage);
  const dialogs = new Dialogs(studio, edits);
  const images = new Images(studio, at("images"));
  const model = new Model(studio, edits, images);
  const notes = new Notes(studio, edits);
  const classes = new Classes(studio, edits);
  const panels = new Side(studio, at("side"), classes, {
    objects: new ObjectList(studio, edits), model, picture: new Picture(studio), notes,
  });
  const table = commands({ studio, edits, stage, tools, dialogs, images, model, panels });
  const byId = (id) => table.find((command) => command.id === id);
  dialogs.commands = table;
  topBar(studio, at("top"), images, byId);
  toolBar(studio, at("tools"), tools, byId);
  floatBar(studio, at("float"), tools);
  statusBar(studio, at("status"), tools, edits);
  new Pointer(studio, stage, at("canvas"));
  const live = new Live(studio, stage);
  listen(table);
  tools.use("select");
  stage.anew();
  return { studio, stage, images, edits, live };
}

/** A token is asked for where the server wants one. */
function login() {
  const token = h("input", { type: "password", name: "token", required: true, autocomplete: "current-password", "aria-label": "Token" });
  fill(document.body, h("form.login", { method: "get", action: "/login" }, h("h1", {}, "delineate studio"),
    h("p", {}, "Your token, as the person who runs this studio gave it to you:"), token, h("button.main", { type: "submit" }, "Open")));
  token.focus();
}

async function first({ studio, images }) {
  const wished = /image=(\d+)/.exec(location.hash)?.[1];
  if (wished !== undefined) {
    try {
      return await studio.open(Number(wished));
    } catch {
      toast(`There is no image ${wished} here any more.`);
    }
  }
  const image = await images.at(0);
  if (image) return images.open(image.id);
  return toast("This data set has no images.", { seconds: 0 });
}

async function start() {
  const page = build();
  window.studio = page; // for the console, and for tests
  window.addEventListener("hashchange", () => {
    const id = /image=(\d+)/.exec(location.hash)?.[1];
    if (page.studio.project === null) return; // read by first() when all is there
    if (id !== undefined && Number(id) !== page.studio.image?.id) page.images.open(Number(id));
  });
  try {
    await page.live.begin();
    await page.studio.start();
    await first(page);
    document.body.classList.add("ready");
  } catch (error) {
    if (error instanceof Refused && error.status === 401) login();
    else toast(error.message, { kind: "bad", seconds: 0 });
  }
}

start();
