// Talking to the server: JSON over HTTP on the same origin. Every failure is one sentence.

/** What the server answered when it did not do what was asked. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `The server answered ${status}.`);
    this.status = status;
    this.objects = body?.objects ?? [];
  }
}

/** The server could not be reached: nothing is known of what was asked. */
export class Unreached extends Error {}

async function ask(method, path, { body, query, signal, file = false } = {}) {
  const url = new URL(`/api/${path}`, location.origin);
  for (const [key, value] of Object.entries(query ?? {}))
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(key, value);
  let answer;
  try {
    answer = await fetch(url, {
      method,
      signal,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreached("The studio's server does not answer.");
  }
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => null));
  if (answer.status === 204) return null;
  const kind = answer.headers.get("Content-Type") ?? "";
  return kind.includes("json") && !file ? answer.json() : answer;
}

const get = (path, query, signal) => ask("GET", path, { query, signal });
const post = (path, body = {}, signal) => ask("POST", path, { body, signal });
const postForFile = (path, body) => ask("POST", path, { body, file: true });

export const api = {
  project: () => get("project"),
  images: (query, signal) => get("images", query, signal),
  image: (id) => get(`images/${id}`),
  objects: (id) => get(`images/${id}/objects`),
  edit: (id, body) => post(`images/${id}/edits`, body),
  setState: (id, state, version) => ask("PATCH", `images/${id}`, { body: { state, version } }),
  comments: (id) => get(`images/${id}/comments`),
  comment: (id, text) => post(`images/${id}/comments`, { text }),
  history: (id) => get(`images/${id}/history`),
  events: (query, signal) => get("events", query, signal),
  addClass: (name, color) => post("classes", { name, color }),
  setClass: (id, change) => ask("PATCH", `classes/${id}`, { body: change }),
  prelabel: (id, body) => post(`images/${id}/prelabel`, body),
  click: (id, body, signal) => post(`images/${id}/click`, body, signal),
  wand: (id, body, signal) => post(`images/${id}/wand`, body, signal),
  propagate: (id, body) => post(`images/${id}/propagate`, body),
  queue: (strategy) => get("queue", { strategy }),
  train: (body) => post("train", body),
  job: (id) => get(`jobs/${id}`),
  cancel: (id) => ask("DELETE", `jobs/${id}`),
  exportAs: (wish) => postForFile("export", wish),
  thumbnail: (id, size) => `/api/images/${id}/thumbnail?size=${size}`,
};

/** Fetch one tile as a bitmap, decoded off the main thread. */
export async function tile(image, level, column, row, look, signal) {
  const url = new URL(`/api/images/${image}/tiles/${level}/${column}/${row}`, location.origin);
  for (const [key, value] of Object.entries(look)) url.searchParams.set(key, value);
  const answer = await fetch(url, { signal, credentials: "same-origin" });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => null));
  return createImageBitmap(await answer.blob());
}

/** Wait for a job of the server; `told` hears of every step. Resolves with its last state. */
export async function finished(job, told) {
  for (;;) {
    const now = await api.job(job);
    told(now);
    if (now.state !== "running") return now;
    await new Promise((done) => setTimeout(done, 700));
  }
}
