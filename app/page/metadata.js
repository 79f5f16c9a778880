// Metadata as rows of name and value, from JSON text to JSON text: what nobody touches stays as it
// is. A value is read as JSON where it is JSON, and as text where not; a text that looks like JSON,
// or that an input would not keep, is therefore shown in quotes.
import { h, removeItem } from "./dom.js";
import { members } from "./json.js";

export function metadataEditor(metadata) {
  const rows = h("div", { class: "rows", oninput: check });
  const add = (name = null, value = "") => {
    const key = h("input", { value: name, dir: "auto", required: name !== "", "aria-label": "Name of the entry", placeholder: "brand" });
    const shown = key.value; // without line breaks
    const content = h("input", { value, dir: "auto", "aria-label": "Value of the entry", placeholder: "Sunhill" });
    const row = h(
      "div",
      { class: "row" },
      key,
      content,
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => {
            removeItem(row, button);
            check();
          },
        },
        "×",
      ),
    );
    row.name = () => (key.value === shown ? name : key.value.trim());
    row.text = () => `${JSON.stringify(row.name())}:${read(content.value)}`;
    rows.append(row);
    check();
    return row;
  };
  for (const [name, value] of members(metadata)) add(name, written(value));
  const button = h(
    "button",
    { type: "button", class: "quiet", onclick: () => add().querySelector("input").focus() },
    "Add an entry",
  );
  // What a row is called depends on the others, and so does whether its name is free.
  function check() {
    const names = new Set();
    [...rows.children].forEach((row, at) => {
      row.querySelector("button").setAttribute("aria-label", `Remove entry ${at + 1}`);
      const name = row.name();
      const taken = name !== null && names.has(name);
      row.querySelector("input").setCustomValidity(taken ? "There is an entry of this name already. Give each a name of its own." : "");
      names.add(name);
    });
  }
  const element = h(
    "fieldset",
    { class: "field" },
    h("legend", {}, "Metadata"),
    rows,
    button,
    h("p", { class: "hint" }, "Numbers, true, false, lists and objects as in JSON; all else is text, in quotes where it has line breaks (\\n) or spaces around it."),
  );
  return { element, text: () => `{${[...rows.children].map((row) => row.text()).join()}}` };
}

// JSON as an input shows it, so that it is read as the same.
function written(json) {
  const value = JSON.parse(json);
  const plain = typeof value === "string" && !/[\r\n]/.test(value) && read(value) === JSON.stringify(value);
  return plain ? value : json;
}

// What stands in an input, as JSON.
function read(text) {
  const trimmed = text.trim();
  try {
    JSON.parse(trimmed);
    return trimmed;
  } catch {
    return JSON.stringify(trimmed);
  }
}
