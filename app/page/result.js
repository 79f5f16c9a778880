// One body: what it was taken for, beside the reference picture it was taken for it by.
import { percent } from "./calibration.js";
import { fact, h } from "./dom.js";
import { feedback } from "./feedback.js";
import { learnFrom } from "./product.js";
import { thumbnail } from "./thumbnails.js";

const WORDS = { match: "Match", ambiguous: "Ambiguous", unknown: "Unknown" };
const PICKS = { match: "Candidates", ambiguous: "Which of these?", unknown: "Is it one of these?" };
const CROP_SIDE = 512;

export const word = (outcome) => WORDS[outcome];

const digits = (value) => (value === null ? "–" : value.toFixed(3));

export function resultCard(result, at, bitmap, requestId) {
  const number = at + 1;
  const { outcome, product, candidates } = result;
  const reference = h("figure", {});
  const picks = candidates.map((candidate) => {
    const pick = h(
      "button",
      { type: "button", class: "pick", "aria-pressed": "false", onclick: () => compare(candidate, pick) },
      thumbnail(candidate.image_id, ""),
      h("span", { class: "name" }, candidate.name),
      h("span", { class: "score" }, digits(candidate.score)),
    );
    return pick;
  });

  function compare(candidate, pick) {
    for (const other of picks) other.setAttribute("aria-pressed", String(other === pick));
    reference.replaceChildren(
      thumbnail(candidate.image_id, `Reference picture of ${candidate.name}`),
      h("figcaption", {}, "Reference"),
    );
  }

  if (candidates.length) compare(candidates[0], picks[0]);
  const crop = cropped(bitmap, result.box);
  crop.setAttribute("role", "img");
  crop.setAttribute("aria-label", `Body ${number} of the photograph`);
  const teach = h(
    "button",
    { type: "button", class: "quiet", onclick: () => learnFrom(crop) },
    "Teach this product",
  );
  return h(
    "article",
    { class: `card result ${outcome}`, tabindex: "-1" },
    h(
      "header",
      {},
      h("span", { class: "number", "aria-hidden": "true" }, String(number)),
      h("div", {}, h("h2", {}, heading(result)), product ? h("p", { class: "id" }, product.id) : null),
      h("span", { class: `outcome ${outcome}` }, word(outcome)),
    ),
    h(
      "div",
      { class: "pair" },
      h("figure", {}, crop, h("figcaption", {}, "Photograph")),
      reference,
    ),
    h(
      "dl",
      { class: "facts" },
      fact("Score", digits(result.score)),
      fact("Margin", digits(result.margin)),
      // Known once the gallery has been calibrated.
      result.probability === null ? null : fact("Likely right", percent(result.probability)),
      fact("Seen by", result.box_source === "detector" ? "detector" : "whole image"),
    ),
    picks.length
      ? h(
          "details",
          { class: "picks", open: outcome !== "match" },
          h("summary", {}, PICKS[outcome]),
          h("div", {}, picks),
        )
      : null,
    feedback(result, at, requestId, outcome === "unknown" ? teach : null),
  );
}

function heading({ outcome, product }) {
  if (outcome === "unknown") return "Not recognised";
  return outcome === "ambiguous" ? "Too close to tell" : product.name;
}

function cropped(bitmap, { x1, y1, x2, y2 }) {
  const width = Math.max(1, x2 - x1);
  const height = Math.max(1, y2 - y1);
  const scale = Math.min(1, CROP_SIDE / Math.max(width, height));
  const canvas = h("canvas", {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, x1, y1, width, height, 0, 0, canvas.width, canvas.height);
  return canvas;
}
