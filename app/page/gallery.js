// The products there are, a page at a time.
import { call, get, path, problemBox } from "./api.js";
import { addressOf, confirm, field, h, plural, say } from "./dom.js";
import { cover } from "./thumbnails.js";

const PAGE = 60;

export async function gallery(root, { signal }) {
  const products = [];
  let cursor = null;
  let total = 0;
  const grid = h("ul", { class: "grid" });
  const count = h("p", { class: "hint" });
  const more = h("button", { type: "button" }, "Load more");
  const samples = h("div", { hidden: true });
  const search = h("input", { type: "search", autocomplete: "off", placeholder: "Name or id" });

  async function load() {
    more.disabled = true;
    try {
      const query = new URLSearchParams({ limit: PAGE, ...(cursor && { cursor }) });
      const page = await get(`/gallery/products?${query}`, { signal });
      cursor = page.next_cursor;
      products.push(...page.products.map((product) => ({ product, card: card(product) })));
      grid.append(...products.slice(-page.products.length || products.length).map((one) => one.card));
    } finally {
      more.disabled = false;
    }
    more.hidden = cursor === null;
    offerToRemove(products.map((one) => one.product).filter((product) => product.metadata.sample === true));
    sift();
  }

  function offerToRemove(found) {
    const drop = async () => {
      const text = "They came with the service, to try it on. They will no longer be recognised. This can't be undone.";
      if (!(await confirm("Remove the sample products?", text, "Remove samples"))) return;
      try {
        for (const { id } of found) await call("DELETE", path`/gallery/products/${id}`, { signal });
        root.replaceChildren();
        await gallery(root, { signal });
        say("Samples removed");
      } catch (error) {
        samples.append(problemBox(error));
      }
    };
    samples.hidden = !found.length;
    samples.replaceChildren(
      h(
        "p",
        { class: "hint" },
        `${plural(found.length, "product")} here came as samples. `,
        h("button", { type: "button", class: "quiet", onclick: drop }, "Remove samples…"),
      ),
    );
  }

  function sift() {
    const wanted = search.value.trim().toLowerCase();
    let found = 0;
    for (const { product, card } of products) {
      card.hidden = !`${product.name}\n${product.id}`.toLowerCase().includes(wanted);
      found += !card.hidden;
    }
    const among = products.length < total ? `${products.length} loaded of ${total}` : plural(total, "product");
    count.textContent = wanted ? `${found} found among ${among}` : among;
    if (wanted) say(count.textContent);
  }

  search.addEventListener("input", sift);
  root.append(
    h(
      "div",
      { class: "heading" },
      h("h1", {}, "Gallery"),
      h(
        "div",
        { class: "row" },
        h("a", { class: "button", href: "#import" }, "Import a zip"),
        h("a", { class: "button primary", href: "#add" }, "Add a product"),
      ),
    ),
  );
  ({ products: total } = await get("/gallery", { signal }));
  if (!total) {
    root.append(h("p", { class: "lead" }, "Nothing is enrolled yet. Add a product, or import a zip."));
    return;
  }
  more.addEventListener("click", async () => {
    const at = products.length;
    await load();
    products[at]?.card.querySelector("a").focus();
  });
  root.append(h("div", { class: "tools" }, field("Search", search), count), samples, grid, more);
  await load();
}

function card(product) {
  return h(
    "li",
    {},
    h(
      "a",
      { class: "card product-card", href: addressOf(product.id) },
      cover(product),
      h("strong", {}, product.name),
      h("span", { class: "id" }, product.id),
      h("span", { class: "hint" }, plural(product.image_count, "photograph")),
    ),
  );
}
