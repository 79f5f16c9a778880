// Pictures of the API, such as references. They are fetched, not linked: an <img> can't send the key.
import { call, get, path } from "./api.js";
import { h } from "./dom.js";

const MOST_KEPT = 600;
const AT_ONCE = 6;

const kept = new Map(); // address → promise of an object URL, the oldest first
const waiting = [];
let running = 0;

export const thumbnail = (imageId, alt) => picture(path`/gallery/images/${imageId}/thumbnail`, alt);

// Any picture of the API, by its address.
export const picture = (address, alt) => lazily(alt, () => source(address));

// The first picture of a product, asked for when its place comes into sight.
export function cover(product) {
  if (!product.image_count) return h("span", { class: "thumbnail missing" });
  return lazily("", async () => {
    const { images } = await get(path`/gallery/products/${product.id}`);
    return source(path`/gallery/images/${images[0].id}/thumbnail`);
  });
}

const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      sight.unobserve(entry.target);
      waiting.push(entry.target.load);
    }
    next();
  },
  { rootMargin: "300px" },
);

function lazily(alt, find) {
  const picture = h("img", { alt, class: "thumbnail", decoding: "async" });
  picture.load = async () => {
    if (!picture.isConnected) return;
    try {
      picture.src = await find();
    } catch {
      // Removed since, none there yet, or no key: its place stays.
      picture.replaceWith(h("span", { class: "thumbnail missing" }));
    }
  };
  sight.observe(picture);
  return picture;
}

async function next() {
  if (running >= AT_ONCE || !waiting.length) return;
  running += 1;
  const work = waiting.shift()();
  next();
  await work;
  running -= 1;
  next();
}

function source(address) {
  if (!kept.has(address)) {
    const url = call("GET", address)
      .then((answer) => answer.blob())
      .then((blob) => URL.createObjectURL(blob));
    url.catch(() => kept.delete(address));
    kept.set(address, url);
    if (kept.size > MOST_KEPT) {
      const [oldest, found] = kept.entries().next().value;
      kept.delete(oldest);
      found.then(URL.revokeObjectURL, () => {});
    }
  }
  return kept.get(address);
}
