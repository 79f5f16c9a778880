// Feedback that waits, and what was decided upon it: approve, reject, undo.
import { call, get, path, problemBox } from "./api.js";
import { field, h, number, plural, say } from "./dom.js";
import { chooseProduct } from "./feedback.js";
import { nameOf } from "./names.js";
import { picture, thumbnail } from "./thumbnails.js";

const PAGE = 24;
const VERDICTS = { right: "Right", wrong: "Another product", missed: "Missed", none: "No product" };
const ANYWAY = "Approve all the same";
const STATES = { waiting: "Waiting", approved: "Approved", rejected: "Rejected" };

export async function review(root, { argument, signal }) {
  const state = Object.hasOwn(STATES, argument) ? argument : "waiting";
  const chooser = h(
    "select",
    {},
    Object.entries(STATES).map(([value, text]) => h("option", { value, selected: value === state }, text)),
  );
  chooser.addEventListener("change", () => (location.hash = `#review/${chooser.value}`));
  const count = h("p", { class: "hint" });
  const list = h("ul", { class: "queue" });
  const more = h("button", { type: "button", hidden: true }, "Load more");
  let last = null;

  async function load() {
    const query = new URLSearchParams({ state, limit: PAGE, ...(last && { before: last }) });
    const { items, counts } = await get(`/feedback?${query}`, { signal });
    list.append(...items.map((item) => entry(item, signal)));
    last = items.at(-1)?.id ?? last;
    more.hidden = items.length < PAGE;
    count.textContent = Object.entries(STATES)
      .map(([name, text]) => `${number(counts[name])} ${text.toLowerCase()}`)
      .join(" · ");
    if (!list.children.length) {
      const empty = state === "waiting" ? "Nothing waits for review. Say of a result on Recognise what it really was." : "Nothing here.";
      list.append(h("li", { class: "lead" }, empty));
    }
  }

  more.addEventListener("click", load);
  root.append(
    h("h1", {}, "Review"),
    h("p", { class: "lead" }, "What people said of results. The gallery learns what is approved."),
    h("div", { class: "tools" }, field("Show", chooser), count),
    list,
    more,
  );
  await load();
}

function entry(item, signal) {
  const place = h("li", { class: "card entry" });
  const trouble = h("div", { class: "trouble" });

  async function decide(call_, json, said) {
    for (const button of place.querySelectorAll("button")) button.disabled = true;
    try {
      const answer = await call("POST", path`/feedback/${item.id}/` + call_, { json, signal });
      show(await answer.json());
      say(said);
      place.querySelector("button")?.focus();
    } catch (error) {
      if (signal.aborted) return;
      for (const button of place.querySelectorAll("button")) button.disabled = false;
      trouble.replaceChildren(...(error.effect ? heldBack(error, json) : [problemBox(error)]));
    }
  }

  const approve = (json) => decide("approve", json, "Approved");

  function heldBack({ title, code, effect }, json) {
    const many = plural(effect.newly_missed.length, "reference");
    const message = `${many} would be found as something else. Look at them, then reject this one, or press “${ANYWAY}”.`;
    const rows = effect.newly_missed.map((missed) =>
      h(
        "li",
        {},
        missed.image_id ? thumbnail(missed.image_id, "") : picture(path`/feedback/${item.id}/image`, ""),
        h(
          "span",
          {},
          missed.image_id ? "A reference of " : "This picture of ",
          h("bdi", {}, missed.product_id),
          " would be taken for ",
          missed.other_product_id ? h("bdi", {}, missed.other_product_id) : "this negative",
          ` (${missed.other_score.toFixed(2)}, its own ${missed.own_score.toFixed(2)})`,
        ),
      ),
    );
    const force = h("button", { type: "button", class: "danger" }, ANYWAY);
    force.addEventListener("click", () => approve({ ...json, force: true }));
    return [problemBox({ title, message, code }), h("ul", { class: "missed" }, rows), force];
  }

  function show(now) {
    trouble.replaceChildren();
    place.replaceChildren(
      now.undoable
        ? picture(path`/feedback/${now.id}/image`, `The body of feedback ${now.id}`)
        : h("span", { class: "thumbnail missing" }),
      h(
        "div",
        {},
        h(
          "header",
          {},
          heading(now, signal),
          h("span", { class: `outcome ${now.verdict === "right" ? "match" : "ambiguous"}` }, VERDICTS[now.verdict]),
        ),
        h("p", { class: "hint" }, answered(now)),
        actions(now),
        trouble,
      ),
    );
  }

  function actions(now) {
    const button = (text, onclick, kind) => h("button", { type: "button", class: kind, onclick }, text);
    if (now.state !== "waiting") {
      const became = { reference: "a reference", negative: "a negative" }[now.kept_as];
      return h(
        "div",
        { class: "row" },
        h("span", { class: "state" }, became ? `Approved as ${became}` : STATES[now.state]),
        now.undoable ? button("Undo", () => decide("undo", {}, "Undone")) : null,
      );
    }
    const other = async () => {
      const product = await chooseProduct("Whose reference is it?", []);
      if (product) await approve({ kind: "reference", product_id: product.id });
    };
    return h(
      "div",
      { class: "row" },
      now.product_id ? button("Approve as reference", () => approve({ kind: "reference" }), "primary") : null,
      button("Approve as negative", () => approve({ kind: "negative" }), now.product_id ? null : "primary"),
      button("Another product …", other),
      button("Reject", () => decide("reject", {}, "Rejected"), "quiet"),
    );
  }

  show(item);
  return place;
}

function heading({ product_id: id }, signal) {
  if (!id) return h("h2", {}, "None of the products");
  const title = h("h2", {}, "It is ", h("bdi", {}, id));
  nameOf(id, signal).then((name) => {
    if (name !== id) title.replaceChildren("It is ", h("bdi", {}, name), " (", h("bdi", {}, id), ")");
  });
  return title;
}

function answered({ seen, created_at: at }) {
  const said = seen.product_id ? [h("bdi", {}, seen.product_id), `, ${seen.outcome}`] : ["unknown"];
  const score = seen.score === null ? "" : ` (${seen.score.toFixed(2)})`;
  return ["Answered ", ...said, `${score} · ${new Date(at).toLocaleString()}`];
}
