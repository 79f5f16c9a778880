// What products are called: people check names, not numbers.
import { get, path } from "./api.js";
import { h } from "./dom.js";

const known = new Map(); // of ids that were asked for, for as long as the page is open

// Resolves to the product's name; to its id where there is no such product any more.
export function nameOf(id, signal) {
  if (!known.has(id)) {
    known.set(
      id,
      get(path`/gallery/products/${id}`, { signal }).then(
        ({ name }) => name,
        () => {
          known.delete(id);
          return id;
        },
      ),
    );
  }
  return known.get(id);
}

// The product's id, which becomes its name as soon as that is known.
export function named(id, signal) {
  const place = h("bdi", { title: id }, id);
  nameOf(id, signal).then((name) => {
    place.textContent = name;
  });
  return place;
}
