// Where a request's time went.
import { h } from "./dom.js";

const NAMES = {
  queue: "Waiting",
  decode: "Decode",
  detect_preprocess: "Prepare for the detector",
  detect: "Detect",
  embed_preprocess: "Prepare for the embedder",
  embed: "Embed",
  search: "Search",
  rerank: "Compare the print",
};

const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

export function stages({ timing_ms: timing, model, gallery_revision: revision }, elapsed) {
  const rows = Object.entries(NAMES).map(([stage, name]) => {
    const bar = h("i", { "aria-hidden": "true" });
    bar.style.width = `${Math.min(100, (100 * timing[stage]) / timing.total)}%`;
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "bar" }, bar), cell(timing[stage]));
  });
  return h(
    "section",
    { class: "stages", "aria-labelledby": "stages" },
    h("h2", { id: "stages" }, `${milliseconds(timing.total)} in the service`),
    h("table", {}, h("caption", { class: "unseen" }, "Time by stage"), h("tbody", {}, rows)),
    h(
      "p",
      { class: "hint" },
      `${milliseconds(elapsed)} with the way there and back. Model ${model}, gallery revision ${revision}.`,
    ),
  );
}

const cell = (value) => h("td", { class: "figure" }, milliseconds(value));
