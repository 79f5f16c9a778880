// The API key, kept for as long as the tab lives. The service's operator makes one with
// `tillsight keys create`.
import { checked, field, h, shown } from "./dom.js";

const NAME = "tillsight-key";
// A header takes no others.
const CHARACTERS = /^[\x21-\x7e]*$/;

export const currentKey = () => sessionStorage.getItem(NAME);

let asking = null;

// Asks for a key, once for all the calls that wait for one; false when none was given. One that is
// awaited is asked for whatever view is shown meanwhile.
export function askForKey(reason, { awaited = true } = {}) {
  asking ??= ask(reason, awaited).finally(() => {
    asking = null;
  });
  return asking;
}

function ask(reason, awaited) {
  const input = checked(
    h("input", {
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: "tillsight_…",
    }),
    (value) => (CHARACTERS.test(value.trim()) ? "" : "Keys have no spaces, no accents, no “ and no … in them. Copy it again."),
  );
  // No submit button: Enter presses the first of these, and that must be the one that uses the key.
  const forget = h(
    "button",
    { type: "button", class: "quiet", onclick: () => dialog.close("forget") },
    "Forget key",
  );
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title", class: awaited && "awaited" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "key-title" }, "API key"),
      h("p", {}, reason),
      field("Key", input, "Kept in this tab only, and sent to this service only."),
      h(
        "div",
        { class: "row end" },
        currentKey() ? forget : null,
        h("button", { type: "button", class: "quiet", onclick: () => dialog.close("cancel") }, "Cancel"),
        h("button", { value: "use", class: "primary" }, "Use key"),
      ),
    ),
  );
  dialog.querySelector("form").addEventListener("submit", (event) => {
    if (!input.value.trim()) {
      event.preventDefault();
      input.focus();
    }
  });
  const closed = shown(dialog);
  input.focus();
  return closed.then((answer) => {
    if (answer === "use") sessionStorage.setItem(NAME, input.value.trim());
    if (answer === "forget") sessionStorage.removeItem(NAME);
    return ["use", "forget"].includes(answer);
  });
}
