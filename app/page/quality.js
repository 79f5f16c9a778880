// How good the gallery is: what its false accepts cost in misses, and what is wrong with it.
import { h } from "./dom.js";
import { problemBox } from "./api.js";
import { audit } from "./audit.js";
import { calibration } from "./calibration.js";

export async function quality(root, { signal }) {
  const parts = [
    ["Calibration", calibration],
    ["Audit", audit],
  ].map(([title, show]) => ({ show, place: h("section", { "aria-label": title }, h("h2", {}, title)) }));
  root.append(
    h("h1", {}, "Quality"),
    h("p", { class: "lead" }, "The gallery asked with its own photographs, each without itself."),
    ...parts.map((part) => part.place),
  );
  await Promise.all(
    parts.map(async ({ show, place }) => {
      try {
        await show(place, signal);
      } catch (error) {
        if (!signal.aborted) place.append(problemBox(error));
      }
    }),
  );
}
