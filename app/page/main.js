// Which view is shown is in the address, after the #: it can be bookmarked and gone back from.
import { h, say } from "./dom.js";
import { problemBox } from "./api.js";
import { askForKey, currentKey } from "./key.js";
import { gallery } from "./gallery.js";
import { health } from "./health.js";
import { importing } from "./importing.js";
import { newProduct, product } from "./product.js";
import { quality } from "./quality.js";
import { recognise } from "./recognise.js";
import { review } from "./review.js";

const VIEWS = { recognise, gallery, product, add: newProduct, import: importing, review, quality, health };
const SECTION = { product: "gallery", add: "gallery", import: "gallery" };

const main = document.getElementById("main");
let leave = new AbortController();

async function show({ first = false } = {}) {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = Object.hasOwn(VIEWS, name) ? name : "recognise";
  leave.abort(); // ends what the view before was doing
  for (const dialog of document.querySelectorAll("dialog[open]:not(.awaited)")) dialog.close();
  leave = new AbortController();
  const { signal } = leave;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#${SECTION[view] ?? view}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const root = h("div", { class: `view ${view}` });
  main.replaceChildren(root);
  say("");
  // Its heading is there at once; what it asks the service for may go on for as long as it is shown.
  const shown = (async () => VIEWS[view](root, { argument: decoded(rest.join("/")), signal }))();
  const heading = root.querySelector("h1");
  entitle(heading);
  // A screen reader is told that the view is another; at the start the page itself is news enough.
  if (!first) {
    scrollTo(0, 0);
    heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }
  try {
    await shown;
  } catch (error) {
    if (!signal.aborted) root.append(problemBox(error));
  }
  if (!signal.aborted) entitle(heading);
}

function entitle(heading) {
  document.title = [heading.textContent, "TillSight"].filter(Boolean).join(" · ");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

document.getElementById("key").addEventListener("click", async () => {
  const reason = currentKey()
    ? "A key is in use. Another takes its place."
    : "A service that has keys needs one. Its operator makes it with: tillsight keys create";
  if (await askForKey(reason, { awaited: false })) show();
});
// Its address is for a page without script; here it would be taken for a view's.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", () => show());
// What is dropped beside its place must not replace the page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
show({ first: true });
