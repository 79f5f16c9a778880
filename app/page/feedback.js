// What people say of a result: right, another product, none of them. It waits for review.
import { call, get, problemBox } from "./api.js";
import { field, h, onPause, say, shown } from "./dom.js";

const MOST_SHOWN = 8;

export function feedback(result, at, requestId, teach) {
  const place = h("div", { class: "said" });
  const { outcome, product, candidates } = result;

  async function tell(productId, ...words) {
    for (const button of row.querySelectorAll("button")) button.disabled = true;
    try {
      const json = { request_id: requestId, result: at, product_id: productId };
      await call("POST", "/feedback", { json });
      const told = h("span", {}, "Said: ", words, ".");
      place.replaceChildren(h("p", { class: "hint" }, told, " It waits for ", h("a", { href: "#review" }, "review"), "."));
      say(told.textContent);
    } catch (error) {
      place.replaceChildren(problemBox(error));
    } finally {
      // Said again, it is corrected.
      for (const button of row.querySelectorAll("button")) button.disabled = false;
    }
  }

  const tellProduct = ({ id, name }) => tell(id, "it is ", h("bdi", {}, name));
  const right = () => (outcome === "unknown" ? tell(null, "no product of ours") : tellProduct(product));
  const another = async () => {
    const chosen = await chooseProduct("What was it?", candidates.map(({ product_id: id, name }) => ({ id, name })));
    if (chosen) await tellProduct(chosen);
  };
  const button = (text, onclick) => h("button", { type: "button", onclick }, text);
  const row = h(
    "div",
    { class: "row verdicts", role: "group", "aria-label": "Was it right?" },
    outcome === "ambiguous" ? null : button("Right", right),
    button("It was …", another),
    outcome === "unknown" ? teach : button("None of these", () => tell(null, "none of these")),
  );
  return h("div", { class: "feedback" }, row, place);
}

// One of the gallery's products: the likely ones first, others by search; null when none was chosen.
export async function chooseProduct(title, likely) {
  const known = new Set(likely.map(({ id }) => id));
  const search = h("input", { type: "search", dir: "auto", autocomplete: "off", placeholder: "Name or id" });
  const list = h("div", { class: "choices" });
  const trouble = h("div", {});
  const dialog = h(
    "dialog",
    { "aria-labelledby": "choose" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "choose" }, title),
      field("Search", search),
      list,
      trouble,
      h("div", { class: "row end" }, h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel")),
    ),
  );
  let chosen = null;
  let newest = 0; // of the questions for products

  function show(found) {
    const rows = found.slice(0, MOST_SHOWN).map((product) =>
      h(
        "button",
        { class: "choice", onclick: () => (chosen = product) },
        h("span", { class: "name" }, product.name),
        h("span", { class: "id" }, product.id),
      ),
    );
    const hint = found.length > MOST_SHOWN ? "More: search for them" : rows.length ? "" : "No such product";
    list.replaceChildren(...rows, h("p", { class: "hint" }, hint));
  }

  async function look() {
    const mine = (newest += 1);
    const wanted = search.value.trim();
    const query = new URLSearchParams({ limit: MOST_SHOWN + 1, ...(wanted && { q: wanted }) });
    try {
      const { products } = await get(`/gallery/products?${query}`);
      if (mine !== newest) return; // another was asked meanwhile
      trouble.replaceChildren();
      show(wanted ? products : [...likely, ...products.filter(({ id }) => !known.has(id))]);
    } catch (error) {
      if (mine === newest) trouble.replaceChildren(problemBox(error));
    }
  }

  onPause(search, look);
  // Enter would press the first button, whatever it is.
  search.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  const closed = shown(dialog);
  if (likely.length) show(likely);
  look();
  await closed;
  return chosen;
}
