// Asks for the newest picture, paints it, says so with the next question: one question at a time, so that no
// picture waits in a queue between the server and the eye.

const at = (id) => document.getElementById(id);
const canvas = at("picture");
const context = canvas.getContext("2d", { alpha: false });
const history = [];
const MINUTE = 60_000;

const preview = { number: 0, painted: 0, paused: false, over: false, figures: null };
window.preview = preview;

async function follow() {
  let last = "";
  while (!preview.over) {
    if (preview.paused) {
      await wait(100);
      last = "";
      continue;
    }
    let answer;
    try {
      answer = await fetch(`api/picture?after=${preview.number}${last}`);
    } catch {
      tell("lost", "The preview does not answer any more.");
      await wait(1000);
      continue;
    }
    last = "";
    if (answer.headers.get("X-Over") === "1") {
      preview.over = true;
      tell("over", "The source has ended.");
    } else if (answer.status === 200) {
      const image = await createImageBitmap(await answer.blob());
      await painting();
      paint(image);
      preview.number = Number(answer.headers.get("X-Number"));
      preview.painted += 1;
      last = "&painted=1";
      tell("live", "");
    } else if (answer.status === 204) {
      tell("waiting", "No new picture for ten seconds.");
    } else {
      tell("lost", await answer.text());
      await wait(1000);
    }
  }
}

function paint(image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  context.drawImage(image, 0, 0);
  image.close();
}

async function figures() {
  while (!preview.over) {
    try {
      const answer = await fetch("api/figures");
      if (answer.ok) show(await answer.json());
    } catch {
      // the pictures' own question says that the server is gone
    }
    await wait(500);
  }
}

function show(now) {
  preview.figures = now;
  const screen = now.screen ?? now.age;
  at("source").textContent = now.source;
  at("what").textContent = now.what;
  number("rate", now.rate.toFixed(1), `of ${now.source_rate.toFixed(1)}`);
  number("age", String(Math.round(1000 * screen)), "ms");
  number("spent", String(Math.round(1000 * now.spent)), "ms");
  const share = now.arrived ? Math.round((100 * now.dropped) / now.arrived) : 0;
  number("dropped", now.dropped.toLocaleString("en"), `${share} %`);
  number("objects", String(now.objects), "");
  if (now.confidence !== null && document.activeElement !== at("confidence")) sure(now.confidence);
  at("sureness").hidden = now.confidence === null;
  at("plain").setAttribute("aria-pressed", String(now.plain));
  if (!preview.paused) history.push([performance.now(), screen]);
  graph();
}

function number(id, text, unit) {
  const place = at(id);
  place.textContent = text;
  const small = document.createElement("small");
  small.textContent = unit ? ` ${unit}` : "";
  place.append(small);
}

function sure(value) {
  at("confidence").value = value;
  at("sure").textContent = Number(value).toFixed(2);
}

function graph() {
  const place = at("history");
  const pen = place.getContext("2d");
  const now = performance.now();
  while (history.length && history[0][0] < now - MINUTE) history.shift();
  const top = Math.max(0.1, ...history.map(([, age]) => age)) * 1.1;
  pen.clearRect(0, 0, place.width, place.height);
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  pen.lineWidth = 2;
  pen.beginPath();
  for (const [moment, age] of history) {
    const x = place.width * (1 - (now - moment) / MINUTE);
    const y = place.height * (1 - age / top);
    pen.lineTo(x, y);
  }
  pen.stroke();
}

async function change(settings) {
  const answer = await fetch("api/settings", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(settings),
  });
  const now = await answer.json();
  if (answer.ok) show({ ...now, screen: preview.figures?.screen ?? null });
  else at("notice").textContent = now.error;
}

function tell(state, text) {
  const place = at("state");
  if (place.dataset.state !== state) {
    place.dataset.state = state;
    place.textContent = state === "over" ? "ended" : state;
  }
  if (at("notice").textContent !== text) at("notice").textContent = text;
}

function pause() {
  preview.paused = !preview.paused;
  at("pause").setAttribute("aria-pressed", String(preview.paused));
  tell(preview.paused ? "paused" : "waiting", "");
}

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
// A page that is not seen gets no frames from the browser: it paints all the same, a little later.
const painting = () => new Promise((done) => {
  const limit = setTimeout(done, 100);
  requestAnimationFrame(() => (clearTimeout(limit), done()));
});

at("plain").addEventListener("click", () => change({ plain: at("plain").getAttribute("aria-pressed") !== "true" }));
at("pause").addEventListener("click", pause);
at("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else at("stage").requestFullscreen();
});
at("confidence").addEventListener("input", () => sure(at("confidence").value));
at("confidence").addEventListener("change", () => change({ confidence: Number(at("confidence").value) }));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
  const button = { " ": "pause", o: "plain", s: "save", f: "full" }[event.key.toLowerCase()];
  if (!button) return;
  event.preventDefault();
  at(button).click();
});

follow();
figures();
