// What others do on the open image, as it happens: one request that waits for news, again and again.

import { api } from "./api.js";

export class Live {
  constructor(studio, stage) {
    this.studio = studio;
    this.stage = stage;
    this.stop = null;
    this.clock = null; // of the news about images
    studio.on("image", () => this.follow(studio.image));
  }

  /** From when on news count: asked for before anything is shown, so that nothing falls between. */
  async begin() {
    this.clock = (await api.events({})).clock;
  }

  async follow(image) {
    this.stop?.abort();
    this.stop = new AbortController();
    const { signal } = this.stop;
    let since = this.studio.objects.revision; // its own count: what this page saves may overtake what others did before
    let pause = 500;
    while (!signal.aborted) {
      try {
        const news = await api.events({ image: image.id, since, clock: this.clock }, signal);
        if (signal.aborted) return;
        if (news.revision < this.studio.objects.revision) {
          await new Promise((done) => setTimeout(done, 100)); // an edit of ours was quicker: ask again
          continue;
        }
        this.clock = news.clock;
        since = news.revision;
        this.take(news);
        pause = 500;
      } catch (error) {
        if (error.name === "AbortError" || error.status === 401) return;
        await new Promise((done) => setTimeout(done, pause));
        pause = Math.min(8000, pause * 2);
      }
    }
  }

  take({ revision, changed = [], removed = [], images = [] }) {
    const { studio } = this;
    const known = (object) => (studio.objects.get(object.id)?.version ?? -1) >= object.version;
    const fresh = changed.filter((object) => !known(object));
    const gone = removed.filter((id) => studio.objects.get(id));
    studio.objects.revision = Math.max(studio.objects.revision, revision);
    if (fresh.length || gone.length) studio.take({ revision, changed: fresh, removed: gone });
    const others = fresh.filter((object) => object.author !== studio.project.user?.name);
    this.stage.glow(others.map((object) => object.id));
    if (images.length) studio.tell("images", images);
  }
}
