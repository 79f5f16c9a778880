// What people say of a result: right, another product, none of them. It waits for review.
import { call, get, problemBox } from "./api.js";
import { field, h, number, say, shown } from "./dom.js";

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
  let all = likely;
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

  function show() {
    const wanted = search.value.trim().toLowerCase();
    const found = all.filter(({ id, name }) => `${name}\n${id}`.toLowerCase().includes(wanted));
    const rows = found.slice(0, MOST_SHOWN).map((product) =>
      h(
        "button",
        { class: "choice", onclick: () => (chosen = product) },
        h("span", { class: "name" }, product.name),
        h("span", { class: "id" }, product.id),
      ),
    );
    const more = found.length - rows.length;
    list.replaceChildren(...rows, h("p", { class: "hint" }, more > 0 ? `${number(more)} more: search for them` : rows.length ? "" : "No such product"));
  }

  search.addEventListener("input", show);
  // Enter would press the first button, whatever it is.
  search.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  const closed = shown(dialog);
  show();
  products()
    .then((found) => {
      const known = new Set(likely.map(({ id }) => id));
      all = [...likely, ...found.filter(({ id }) => !known.has(id))];
      show();
    })
    .catch((error) => trouble.replaceChildren(problemBox(error)));
  await closed;
  return chosen;
}

async function products() {
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await get(`/gallery/products?${new URLSearchParams({ limit: 1000, cursor })}`);
    found.push(...page.products);
    cursor = page.next_cursor;
  }
  return found;
}
