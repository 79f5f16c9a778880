// A photograph in, the products in it out.
import { problemBox, send } from "./api.js";
import { field, h, plural, say } from "./dom.js";
import { droppable, dropzone, hasLiveCamera, onPaste, photograph } from "./files.js";
import { resultCard, word } from "./result.js";
import { stages } from "./stages.js";

export function recognise(root, { signal }) {
  const answer = h("div", { class: "answer" });
  const detect = h("input", { type: "checkbox", checked: true });
  const threshold = h("input", { type: "number", min: -1, max: 1, step: 0.01, placeholder: "the model's" });
  const status = h("p", { class: "status" });
  let shown = null; // the photograph, to ask again when an option changes
  let asked = new AbortController();
  signal.addEventListener("abort", () => asked.abort());

  async function take(file) {
    shown = file;
    asked.abort();
    asked = new AbortController();
    const mine = asked.signal;
    root.classList.add("taken");
    status.textContent = "Recognising…";
    say("Recognising");
    const url = URL.createObjectURL(file);
    mine.addEventListener("abort", () => URL.revokeObjectURL(url));
    const picture = h("img", { src: url, alt: "The photograph" });
    const frame = h("div", { class: "frame" }, picture);
    answer.replaceChildren(h("div", { class: "picture" }, frame));
    const form = new FormData();
    form.append("image", file);
    const query = new URLSearchParams({ detect: detect.checked, top_k: 5 });
    if (threshold.value) query.set("threshold", threshold.value);
    const start = performance.now();
    try {
      const found = await send(`/recognize?${query}`, form, { signal: mine });
      const elapsed = performance.now() - start;
      const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
      if (mine.aborted) return;
      status.textContent = "";
      present(answer, frame, found, bitmap, elapsed);
    } catch (error) {
      if (mine.aborted) return;
      status.textContent = "";
      answer.append(problemBox(error));
    }
  }

  const zone = dropzone({
    accept: "image/*",
    title: "Choose a photograph",
    hint: "Or drop one here, or paste it.",
    take: ([file]) => take(file),
  });
  zone.querySelector(".row").append(cameraButton(take, answer, signal));
  droppable(answer, ([file]) => take(file));
  onPaste(signal, take);
  for (const option of [detect, threshold]) {
    option.addEventListener("change", () => shown && threshold.checkValidity() && take(shown));
  }
  root.append(
    h("h1", {}, "Recognise"),
    h("p", { class: "lead" }, "A photograph of what lies at the till, a shelf or a tray."),
    zone,
    h(
      "details",
      { class: "options" },
      h("summary", {}, "Options"),
      h(
        "div",
        { class: "row" },
        h("label", { class: "check" }, detect, "Look for several products"),
        field("Score needed for a match", threshold),
      ),
    ),
    status,
    answer,
  );
}

function cameraButton(take, place, signal) {
  if (!hasLiveCamera()) {
    const camera = dropzone({
      accept: "image/*",
      capture: true,
      title: "Take a photograph",
      take: ([file]) => take(file),
    });
    camera.className = "";
    return camera;
  }
  const open = async () => {
    try {
      const file = await photograph(signal);
      if (file) take(file);
    } catch (error) {
      const detail = `${error.message}. Allow this page to use the camera, or choose a file.`;
      place.replaceChildren(problemBox({ title: "No camera", message: detail }));
    }
  };
  return h("button", { type: "button", onclick: open }, "Use the camera");
}

function present(answer, frame, found, bitmap, elapsed) {
  const cards = found.results.map((result, at) => resultCard(result, at, bitmap, found.request_id));
  const boxes = found.results.map((result, at) => boxButton(result, at + 1, found.image));
  boxes.forEach((box, at) => {
    const card = cards[at];
    const light = (on) => {
      box.classList.toggle("lit", on);
      card.classList.toggle("lit", on);
    };
    for (const part of [box, card]) {
      part.addEventListener("mouseenter", () => light(true));
      part.addEventListener("mouseleave", () => light(false));
    }
    box.addEventListener("click", () => {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      card.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
      card.focus({ preventScroll: true });
    });
  });
  frame.append(...boxes);
  const named = found.results.filter((one) => one.outcome === "match").length;
  const needed = `a score of ${found.threshold.toFixed(2)}`;
  const summary = `${plural(found.results.length, "body", "bodies")} seen, ${named} named; ${needed} is needed`;
  say(summary);
  frame.after(stages(found, elapsed));
  answer.append(
    h(
      "section",
      { class: "results", "aria-label": "Results" },
      h("p", { class: "summary" }, summary),
      cards,
    ),
  );
}

function boxButton(result, number, image) {
  const { x1, y1, x2, y2 } = result.box;
  const label = `${number}: ${result.product?.name ?? word(result.outcome)}, ${word(result.outcome)}`;
  const box = h("button", { type: "button", class: `box ${result.outcome}`, "aria-label": label });
  box.append(h("span", { "aria-hidden": "true" }, String(number)));
  // By CSSOM: the policy refuses style attributes.
  box.style.left = `${(100 * x1) / image.width}%`;
  box.style.top = `${(100 * y1) / image.height}%`;
  box.style.width = `${(100 * (x2 - x1)) / image.width}%`;
  box.style.height = `${(100 * (y2 - y1)) / image.height}%`;
  return box;
}
