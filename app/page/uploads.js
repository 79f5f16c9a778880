// Photographs on their way into a product: each by itself, so that each has its progress and error.
import { idempotencyKey, path, send } from "./api.js";
import { addressOf, h, progress, say } from "./dom.js";

const AT_ONCE = 2;
const MOST_TRIES = 5;

export class Uploads {
  constructor(productId, signal, changed) {
    this.element = h("ul", { class: "uploads" });
    this.address = path`/gallery/products/${productId}/images`;
    this.signal = signal;
    this.changed = changed;
    this.waiting = [];
    this.running = 0;
  }

  add(files) {
    for (const file of files) {
      const bar = progress(file.name);
      const state = h("span", { class: "state" }, "waiting");
      const row = h("li", {}, h("span", { class: "name" }, file.name), bar, state);
      this.element.append(row);
      this.waiting.push({ file, row, bar, state });
    }
    this.next();
  }

  async next() {
    if (this.running >= AT_ONCE || !this.waiting.length || this.signal.aborted) return;
    this.running += 1;
    const item = this.waiting.shift();
    this.next();
    try {
      const added = await this.sent(item);
      const kind = added.warnings.length ? "doubtful" : "good";
      this.finish(item, added.duplicate ? "already there" : "added", kind, added.warnings);
    } catch (error) {
      if (!this.signal.aborted) this.finish(item, error.message, "bad");
    }
    this.running -= 1;
    if (!this.signal.aborted && !this.waiting.length && !this.running) await this.changed();
    this.next();
  }

  async sent({ file, bar, state }) {
    const form = new FormData();
    form.append("images", file);
    const headers = idempotencyKey();
    const onprogress = (share) => {
      bar.value = share;
      state.textContent = share < 1 ? `${Math.round(100 * share)} %` : "being embedded";
    };
    for (let tries = 1; ; tries += 1) {
      try {
        const { images } = await send(this.address, form, { headers, onprogress, signal: this.signal });
        return images[0];
      } catch (error) {
        // The service is busy, or the key has called often enough for this minute.
        if (error.status !== 429 || tries === MOST_TRIES) throw error;
        state.textContent = "waiting for the service";
        await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(error.retryAfter) || 1)));
      }
    }
  }

  finish({ row, bar, state, file }, text, kind, doubts = []) {
    bar.remove();
    row.className = kind;
    state.textContent = text;
    row.append(...doubts.map(told));
    say([`${file.name}: ${text}`, ...doubts.map((doubt) => doubt.detail)].join(". "));
  }
}

function told({ detail, product_id: alike }) {
  const link = alike && h("a", { href: addressOf(alike) }, `Open ${alike}`);
  return h("p", {}, detail, link ? [" ", link] : null);
}
