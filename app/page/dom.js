// Elements without a template language: text is always text, so nothing a gallery holds is markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Read out by screen readers, seen by nobody.
export function say(text) {
  document.getElementById("said").textContent = text;
}

let labels = 0;

// A control under its label, with advice where it is needed.
export function field(label, control, hint) {
  control.id ||= `field-${++labels}`;
  const parts = [h("label", { for: control.id }, label), control];
  if (hint) {
    const advice = h("p", { class: "hint", id: `${control.id}-hint` }, hint);
    control.setAttribute("aria-describedby", advice.id);
    parts.push(advice);
  }
  return h("div", { class: "field" }, parts);
}

// A control whose form is not sent while `wrong` has a sentence against its value; the browser says it.
export function checked(control, wrong) {
  control.addEventListener("input", () => control.setCustomValidity(wrong(control.value)));
  return control;
}

const TYPING = 250; // milliseconds after a letter, in which another may follow

// Calls `act` when what is typed pauses.
export function onPause(control, act) {
  let timer;
  control.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(act, TYPING);
  });
}

export function progress(label) {
  return h("progress", { max: 1, value: 0, "aria-label": label });
}

export const number = (value) => Math.round(value).toLocaleString("en");

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// Where the page shows a product.
export const addressOf = (productId) => `#product/${encodeURIComponent(productId)}`;

// Removes an item of a list. The focus, where the item had it, goes to the next one's button, or to
// the `last` resort.
export function removeItem(item, last) {
  const next = item.nextElementSibling?.querySelector("button") ?? last;
  const focused = item.contains(document.activeElement);
  item.remove();
  if (focused) next.focus();
}

// A question that stands before the page until it is answered; true when it was affirmed.
export function confirm(title, text, action) {
  const yes = h("button", { value: "yes", class: "danger" }, action);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "question" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "question" }, title),
      h("p", {}, text),
      h("div", { class: "row end" }, h("button", { value: "no", class: "quiet" }, "Keep"), yes),
    ),
  );
  return shown(dialog).then((answer) => answer === "yes");
}

// Shows a dialog before the page; resolves to what closed it, when it is gone.
export function shown(dialog) {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue);
      dialog.remove();
    });
  });
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// A name and its value, in a list of definitions.
export const fact = (name, value, note) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value), note ? h("dd", { class: "hint" }, note) : null);
