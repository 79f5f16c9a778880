// What is wrong with the gallery, with the pictures that show it.
import { call } from "./api.js";
import { addressOf, h, plural, progress } from "./dom.js";
import { thumbnail } from "./thumbnails.js";

const SHOWN = 12; // of each kind at first
const PAUSE = 500;

export async function audit(place, signal) {
  const found = await finished(place, signal);
  const recall =
    found.recall_at_1 === null
      ? "No reference has others of its product yet."
      : `${(100 * found.recall_at_1).toFixed(1)} % of ${plural(found.asked, "reference")} are found by others of their product.`;
  const parts = [
    ["Under the wrong product, it seems", found.mislabelled.map((one) => pair(one, `${one.product_id}, but like ${one.other_product_id}`, `${score(one.score)} against ${score(one.other_score)}`))],
    ["Products that look alike", found.look_alikes.map((one) => pair(one, `${one.product_id} and ${one.other_product_id}`, `${Math.round(100 * one.share)} % are found as the other`))],
    ["The same picture twice", found.duplicates.map((one) => pair(one, one.product_id === one.other_product_id ? one.product_id : `${one.product_id} and ${one.other_product_id}`, `known by: ${one.how.join(", ")}`))],
    ["Taken for another product", found.confusions.map((one) => pair(one, `${one.product_id} for ${one.other_product_id}`, `${plural(one.count, "reference")}, such as these (${score(one.score)})`))],
    ["Unlike the others of their product", found.outliers.map((one) => pair({ ...one, other_image_id: null }, one.product_id, `${score(one.score)} at best`))],
  ].filter(([, faults]) => faults.length);
  place.append(
    h("p", { class: "summary" }, `${plural(found.images, "reference")} of ${plural(found.products, "product")}. ${recall}`),
    ...parts.map(([title, faults]) => group(title, faults)),
    found.photograph_next.length ? advice(found.photograph_next) : "",
  );
  if (!parts.length) place.append(h("p", { class: "good" }, "No faults were found."));
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
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  } finally {
    title.remove();
    bar.remove();
  }
}

const score = (value) => value.toFixed(2);

function pair({ image_id: image, other_image_id: other, product_id: product }, title, note) {
  return h(
    "li",
    { class: "card fault" },
    h("div", { class: "pair" }, thumbnail(image, `Reference of ${product}`), other ? thumbnail(other, "The other reference") : null),
    h("strong", {}, title),
    h("span", { class: "hint" }, note),
    h("a", { href: addressOf(product) }, `Open ${product}`),
  );
}

function group(title, faults) {
  const list = h("ul", { class: "faults" }, faults.slice(0, SHOWN));
  const part = h("div", { class: "group" }, h("h3", {}, `${title} (${faults.length})`), list);
  if (faults.length > SHOWN) {
    const more = h("button", { type: "button" }, `Show ${faults.length - SHOWN} more`);
    more.addEventListener("click", () => {
      list.append(...faults.slice(SHOWN));
      more.remove();
      faults[SHOWN].querySelector("a").focus();
    });
    part.append(more);
  }
  return part;
}

function advice(items) {
  const rows = items.map(({ product_id: id, reason }) =>
    h("li", {}, h("a", { href: addressOf(id) }, id), ` ${reason}`),
  );
  return h("details", { class: "group" }, h("summary", {}, `Photograph next (${items.length})`), h("ul", { class: "advice" }, rows));
}
