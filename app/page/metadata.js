// Metadata as rows of name and value. A value is read as JSON where it is JSON, and as text where
// not; a text that looks like JSON is therefore shown in quotes.
import { h } from "./dom.js";

export function metadataEditor(metadata) {
  const rows = h("div", { class: "rows" });
  const add = (name = "", value = "") => {
    const row = h(
      "div",
      { class: "row" },
      h("input", { value: name, "aria-label": "Name of the entry", placeholder: "brand" }),
      h("input", { value, "aria-label": "Value of the entry", placeholder: "Sunhill" }),
      h(
        "button",
        { type: "button", class: "quiet", "aria-label": "Remove the entry", onclick: () => row.remove() },
        "×",
      ),
    );
    rows.append(row);
    return row;
  };
  for (const [name, value] of Object.entries(metadata)) add(name, written(value));
  const button = h(
    "button",
    { type: "button", class: "quiet", onclick: () => add().querySelector("input").focus() },
    "Add an entry",
  );
  const element = h(
    "fieldset",
    { class: "field" },
    h("legend", {}, "Metadata"),
    rows,
    button,
    h("p", { class: "hint" }, "Numbers, true, false, lists and objects as in JSON; all else is text."),
  );
  return { element, value: () => collected(rows) };
}

function collected(rows) {
  const pairs = [...rows.children].map((row) => {
    const [name, value] = row.querySelectorAll("input");
    return [name.value.trim(), readValue(value.value.trim())];
  });
  return Object.fromEntries(pairs.filter(([name]) => name));
}

function written(value) {
  return typeof value === "string" && readValue(value) === value ? value : JSON.stringify(value);
}

function readValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
