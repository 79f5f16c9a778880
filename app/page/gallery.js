// The products there are, or those that are searched for, a page at a time.
import { call, get, problemBox } from "./api.js";
import { addressOf, confirm, field, h, number, onPause, plural, say } from "./dom.js";
import { cover } from "./thumbnails.js";

const PAGE = 60;

export async function gallery(root, { signal }) {
  let cursor = null;
  let total = 0;
  let newest = 0; // of the questions for a page
  const grid = h("ul", { class: "grid" });
  const count = h("p", { class: "hint" });
  const more = h("button", { type: "button", hidden: true }, "Load more");
  const trouble = h("div", {});
  const samples = h("div", {});
  const search = h("input", { type: "search", dir: "auto", autocomplete: "off", placeholder: "Name or id" });

  async function load(after = null) {
    const mine = (newest += 1);
    const wanted = search.value.trim();
    const query = new URLSearchParams({ limit: PAGE, ...(wanted && { q: wanted }), ...(after && { cursor: after }) });
    try {
      const page = await get(`/gallery/products?${query}`, { signal });
      if (mine !== newest) return; // another was asked meanwhile
      trouble.replaceChildren();
      if (!after) grid.replaceChildren();
      grid.append(...page.products.map(card));
      cursor = page.next_cursor;
      more.hidden = cursor === null;
      tell(wanted);
    } catch (error) {
      if (!signal.aborted && mine === newest) trouble.replaceChildren(problemBox(error));
    }
  }

  function tell(wanted) {
    const shown = number(grid.children.length);
    if (wanted) {
      count.textContent = cursor ? `The first ${shown} found` : `${shown} found among ${plural(total, "product")}`;
      say(count.textContent);
    } else {
      count.textContent = cursor ? `${shown} loaded of ${number(total)}` : plural(grid.children.length, "product");
    }
  }

  async function offerToRemove() {
    const { products } = await get("/gallery/samples", { signal });
    if (!products.length) return;
    const drop = async () => {
      const text = "They came with the service, to try it on. They will no longer be recognised. This can't be undone.";
      if (!(await confirm("Remove the sample products?", text, "Remove samples"))) return;
      try {
        await call("DELETE", "/gallery/samples", { signal });
        root.replaceChildren();
        await gallery(root, { signal });
        say("Samples removed");
      } catch (error) {
        samples.append(problemBox(error));
      }
    };
    samples.append(
      h(
        "p",
        { class: "hint" },
        `${plural(products.length, "product")} here came as samples. `,
        h("button", { type: "button", class: "quiet", onclick: drop }, "Remove samples…"),
      ),
    );
  }

  onPause(search, () => load());
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
    const at = grid.children.length;
    more.disabled = true;
    await load(cursor);
    more.disabled = false;
    grid.children[at]?.querySelector("a").focus();
  });
  root.append(h("div", { class: "tools" }, field("Search", search), count), samples, trouble, grid, more);
  await Promise.all([load(), offerToRemove()]);
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
