// What is wrong with the gallery, with the pictures that show it.
import { call } from "./api.js";
import { addressOf, h, number, pause, plural, progress } from "./dom.js";
import { named } from "./names.js";
import { thumbnail } from "./thumbnails.js";

const SHOWN = 12; // of each kind at first
const MORE = 48; // at each click
const PAUSE = 500;

export async function audit(place, signal) {
  const found = await finished(place, signal);
  const recall =
    found.recall_at_1 === null
      ? "No reference has others of its product yet."
      : `${(100 * found.recall_at_1).toFixed(1)} % of ${plural(found.asked, "reference")} are found by others of their product.`;
  const name = (id) => named(id, signal);
  const kinds = [
    ["Under the wrong product, it seems", found.mislabelled, (one) => [name(one.product_id), ", but like ", name(one.other_product_id)], (one) => `${score(one.score)} against ${score(one.other_score)}`],
    ["Products that look alike", found.look_alikes, (one) => [name(one.product_id), " and ", name(one.other_product_id)], (one) => `${Math.round(100 * one.share)} % are found as the other`],
    ["The same picture twice", found.duplicates, (one) => (one.product_id === one.other_product_id ? [name(one.product_id)] : [name(one.product_id), " and ", name(one.other_product_id)]), (one) => `known by: ${one.how.join(", ")}`],
    ["Taken for another product", found.confusions, (one) => [name(one.product_id), " for ", name(one.other_product_id)], (one) => `${plural(one.count, "reference")}, such as these (${score(one.score)})`],
    ["Unlike the others of their product", found.outliers, (one) => [name(one.product_id)], (one) => `${score(one.score)} at best`],
  ].filter(([, faults]) => faults.length);
  place.append(
    h("p", { class: "summary" }, `${plural(found.images, "reference")} of ${plural(found.products, "product")}. ${recall}`),
    ...kinds.map(([title, faults, products, note]) =>
      group(title, faults, (one) => pair(one, products(one), note(one))),
    ),
    found.photograph_next.length ? advice(found.photograph_next, name) : "",
  );
  if (!kinds.length) place.append(h("p", { class: "good" }, "No faults were found."));
}

async function finished(place, signal) {
  const title = h("p", { class: "status" }, "Looking through the gallery…");
  const bar = progress("Audit");
  place.append(title, bar);
  try {
    while (true) {
      const answer = await call("GET", "/gallery/audit", { signal });
      const found = await answer.json();
      if (answer.status === 200) return found;
      bar.value = found.total ? found.done / found.total : 0;
      await pause(PAUSE);
    }
  } finally {
    title.remove();
    bar.remove();
  }
}

const score = (value) => value.toFixed(2);

// An outlier has no other: it is like none.
function pair({ image_id: image, other_image_id: other, product_id: product }, title, note) {
  return h(
    "li",
    { class: "card fault" },
    h("div", { class: "pair" }, thumbnail(image, `Reference of ${product}`), other ? thumbnail(other, "The other reference") : null),
    h("strong", {}, title),
    h("span", { class: "hint" }, note),
    h("a", { href: addressOf(product) }, "Open ", h("bdi", {}, product)),
  );
}

function group(title, faults, card) {
  return h("div", { class: "group" }, h("h3", {}, `${title} (${number(faults.length)})`), firstOf(faults, card, "faults"));
}

function advice(items, name) {
  const row = ({ product_id: id, reason }) => h("li", {}, h("a", { href: addressOf(id) }, name(id)), ` ${reason}`);
  return h("details", { class: "group" }, h("summary", {}, `Photograph next (${number(items.length)})`), firstOf(items, row, "advice"));
}

// Of a large gallery there may be thousands, and each name is a call: some at a time.
function firstOf(items, made, kind) {
  const list = h("ul", { class: kind }, items.slice(0, SHOWN).map(made));
  const more = h("button", { type: "button" });
  const count = () => {
    const next = Math.min(MORE, items.length - list.children.length);
    more.textContent = `Show ${number(next)} more`;
    if (!next) more.remove();
  };
  more.addEventListener("click", () => {
    const shown = list.children.length;
    list.append(...items.slice(shown, shown + MORE).map(made));
    count();
    list.children[shown].querySelector("a").focus();
  });
  if (items.length <= SHOWN) return [list];
  count();
  return [list, more];
}
