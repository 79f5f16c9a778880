// Photographs on their way into a product: each by itself, so that each has its progress and error,
// and none is lost for what passes, such as a moment without network.
import { idempotencyKey, path, send } from "./api.js";
import { addressOf, h, pause, progress, say } from "./dom.js";

const AT_ONCE = 2;
const MOST_TRIES = 5;
// Nobody answers, or not now: the service is busy or restarts, or the key has called often enough.
const PASSING = [0, 408, 429, 502, 503, 504];

export class Uploads {
  constructor(productId, signal, changed) {
    this.list = h("ul", { class: "uploads", tabindex: "-1", "aria-label": "On their way" });
    this.again = h("button", { type: "button", hidden: true, onclick: () => this.retry() }, "Try again");
    this.elements = [this.list, this.again];
    this.address = path`/gallery/products/${productId}/images`;
    this.signal = signal;
    this.changed = changed;
    this.waiting = [];
    this.failed = []; // of what passes
    this.running = 0;
    this.added = false; // since it was last told
  }

  add(files) {
    for (const file of files) {
      const bar = progress(file.name);
      const state = h("span", { class: "state" });
      const row = h("li", {}, h("span", { class: "name" }, h("bdi", {}, file.name)), bar, state);
      this.list.append(row);
      this.wait({ file, row, bar, state, headers: idempotencyKey() });
    }
    this.next();
  }

  wait(item) {
    item.state.textContent = "waiting";
    this.waiting.push(item);
  }

  retry() {
    for (const item of this.failed.splice(0)) {
      item.row.className = "";
      item.state.before(item.bar);
      this.wait(item);
    }
    this.list.focus(); // the button goes
    this.again.hidden = true;
    this.next();
  }

  async next() {
    if (this.running >= AT_ONCE || !this.waiting.length || this.signal.aborted) return;
    this.running += 1;
    const item = this.waiting.shift();
    this.next();
    try {
      const added = await this.sent(item);
      this.added = true;
      const kind = added.warnings.length ? "doubtful" : "good";
      this.finish(item, added.duplicate ? "already there" : "added", kind, added.warnings);
    } catch (error) {
      if (this.signal.aborted) return;
      this.finish(item, error.message, "bad");
      if (passes(error)) this.failed.push(item);
      this.again.hidden = !this.failed.length;
    }
    this.running -= 1;
    if (!this.signal.aborted && !this.waiting.length && !this.running && this.added) {
      this.added = false;
      await this.changed();
    }
    this.next();
  }

  async sent({ file, bar, state, headers }) {
    const form = new FormData();
    form.append("images", file);
    const onprogress = (share) => {
      bar.value = share;
      state.textContent = share < 1 ? `${Math.round(100 * share)} %` : "being embedded";
    };
    for (let tries = 1; ; tries += 1) {
      try {
        const { images } = await send(this.address, form, { headers, onprogress, signal: this.signal });
        return images[0];
      } catch (error) {
        if (!passes(error) || tries === MOST_TRIES) throw error;
        state.textContent = "waiting for the service";
        const seconds = Number(error.retryAfter) || 2 ** (tries - 1);
        await pause(1000 * seconds);
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

// Also where the answer was lost on its way, and the service is still at it.
const passes = ({ status, code }) => PASSING.includes(status) || code === "idempotency-key-in-use";

function told({ detail, product_id: alike }) {
  const link = alike && h("a", { href: addressOf(alike) }, "Open ", h("bdi", {}, alike));
  return h("p", {}, detail, link ? [" ", link] : null);
}
