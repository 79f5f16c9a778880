// A product: its name, its metadata, its reference photographs.
import { call, path, problemBox } from "./api.js";
import { addressOf, checked, confirm, field, h, plural, removeItem, say } from "./dom.js";
import { dropzone } from "./files.js";
import { members } from "./json.js";
import { metadataEditor } from "./metadata.js";
import { thumbnail } from "./thumbnails.js";
import { Uploads } from "./uploads.js";

let learnt = []; // photographs for the product that is about to be added

// From a body that was not recognised to a new product.
export async function learnFrom(canvas) {
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  learnt = [new File([picture], "photograph.jpg", { type: "image/jpeg" })];
  location.hash = "#add";
}

export function newProduct(root, { signal }) {
  const photographs = learnt;
  learnt = [];
  const id = checked(
    h("input", { required: true, maxlength: 128, dir: "auto", autocomplete: "off", spellcheck: "false" }),
    (value) => {
      const wrong = /[/\\]/.test(value) || [".", ".."].includes(value.trim());
      return wrong ? "An id has no / and no \\ in it, and is not . or .. alone." : "";
    },
  );
  root.append(
    back(),
    h("h1", {}, "Add a product"),
    editor({
      id,
      name: "",
      metadata: "{}",
      action: "Add product",
      note: photographs.length ? "The photograph becomes its first reference." : "Photographs come next.",
      save: async (body) => {
        const address = path`/gallery/products/${id.value.trim()}`;
        await call("PUT", address, { body, headers: { "If-None-Match": "*" }, signal });
        learnt = photographs;
        location.hash = addressOf(id.value.trim());
      },
      refused: (error) => (error.code === "version-conflict" ? taken(id.value.trim(), error) : problemBox(error)),
    }),
  );
}

function taken(id, { code }) {
  const problem = {
    title: "There is such a product already",
    message: "Choose another id, or change that product.",
    code,
  };
  return problemBox(problem, h("a", { href: addressOf(id) }, "Open ", h("bdi", {}, id)));
}

export async function product(root, { argument: id, signal }) {
  const photographs = learnt;
  learnt = [];
  const address = path`/gallery/products/${id}`;
  const title = h("h1", {}, id); // until its name is known
  const count = h("h2", {});
  const grid = h("ul", { class: "grid references" });
  const zone = dropzone({
    accept: "image/*",
    multiple: true,
    title: "Add photographs",
    hint: "Or drop them here. From the sides that the till will see, the product filling most of the picture.",
    take: (files) => uploads.add(files),
  });
  root.append(back(), title);
  const answer = await call("GET", address, { signal });
  let version = answer.headers.get("ETag");
  let found = await read(answer);
  title.textContent = found.name;

  const trouble = h("div", { class: "trouble" });
  const uploads = new Uploads(id, signal, uploaded);
  const form = editor({
    name: found.name,
    metadata: found.metadata,
    action: "Save",
    save: async (body) => {
      const saved = await call("PUT", address, { body, headers: { "If-Match": version }, signal });
      version = saved.headers.get("ETag");
      found = await read(saved);
      title.textContent = found.name;
      return "Saved.";
    },
  });
  root.append(
    h("p", { class: "id" }, id),
    h(
      "div",
      { class: "columns" },
      h("section", { "aria-label": "Name and metadata" }, form, remove()),
      h(
        "section",
        { "aria-label": "Photographs" },
        count,
        zone,
        uploads.elements,
        trouble,
        grid,
      ),
    ),
  );
  show(found.images);
  uploads.add(photographs);

  async function refresh() {
    const now = await read(await call("GET", address, { signal }));
    // An own change: what somebody else did to name or metadata still counts as unseen.
    if (now.name === found.name && now.metadata === found.metadata) version = `"${now.version}"`;
    show(now.images);
  }

  async function uploaded() {
    try {
      await refresh();
      trouble.replaceChildren();
    } catch (error) {
      if (!signal.aborted) trouble.replaceChildren(problemBox(error));
    }
  }

  function show(images) {
    count.textContent = plural(images.length, "photograph");
    const there = new Set([...grid.children].map((item) => item.dataset.id));
    const wanted = new Set(images.map((image) => image.id));
    for (const item of [...grid.children]) {
      if (!wanted.has(item.dataset.id)) removeItem(item, zone.querySelector("button"));
    }
    for (const image of images) if (!there.has(image.id)) grid.append(reference(image));
    [...grid.children].forEach((item, at) => {
      item.querySelector("button").setAttribute("aria-label", `Remove photograph ${at + 1}`);
    });
  }

  function reference(image) {
    const drop = async () => {
      const text = "It is no longer recognised by this photograph. This can't be undone.";
      if (!(await confirm("Remove this photograph?", text, "Remove"))) return;
      try {
        await call("DELETE", path`/gallery/images/${image.id}`, { signal });
        say("Photograph removed");
        await refresh();
      } catch (error) {
        item.append(problemBox(error));
      }
    };
    const item = h(
      "li",
      { "data-id": image.id },
      thumbnail(image.id, `Reference, ${image.width} by ${image.height} pixels`),
      h("span", { class: "hint" }, `${image.width} × ${image.height}`),
      h("button", { type: "button", class: "quiet", onclick: drop }, "Remove"),
    );
    return item;
  }

  function remove() {
    const place = h("div", { class: "danger-zone" });
    const drop = async () => {
      const rest = ` and ${plural(grid.children.length, "photograph")} of it leave the gallery at once. This can't be undone.`;
      const text = [h("bdi", {}, found.name), rest];
      if (!(await confirm("Remove this product?", text, "Remove product"))) return;
      try {
        await call("DELETE", address, { signal });
        location.hash = "#gallery";
      } catch (error) {
        place.append(problemBox(error));
      }
    };
    place.append(h("button", { type: "button", class: "danger", onclick: drop }, "Remove product…"));
    return place;
  }
}

// A product with its metadata as text, for the editor to change no more of it than is changed there.
async function read(answer) {
  const text = await answer.text();
  return { ...JSON.parse(text), metadata: members(text).get("metadata") };
}

function editor({ id, name, metadata, action, note, save, refused = problemBox }) {
  const called = h("input", { required: true, maxlength: 256, value: name, dir: "auto", autocomplete: "off" });
  const entries = metadataEditor(metadata);
  const outcome = h("div", { "aria-live": "polite" });
  const button = h("button", { class: "primary" }, action);
  const form = h(
    "form",
    { class: "editor" },
    id ? field("Id", id, "Yours: SKU, GTIN, whatever the till uses. It stays.") : null,
    field("Name", called),
    entries.element,
    note ? h("p", { class: "hint" }, note) : null,
    outcome,
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    outcome.replaceChildren();
    try {
      const title = JSON.stringify(called.value.trim());
      const said = await save(`{"name":${title},"metadata":${entries.text()}}`);
      if (said) outcome.append(h("p", { class: "good" }, said));
    } catch (error) {
      outcome.append(refused(error));
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

const back = () => h("a", { class: "back", href: "#gallery" }, "← Gallery");
