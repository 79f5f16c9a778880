// False accepts against misses: a curve, and a slider along it.
import { get } from "./api.js";
import { fact, field, h, number } from "./dom.js";

const RATES = [0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5];
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [640, 300, 52, 44, 14];
const SVG = "http://www.w3.org/2000/svg";

export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

export async function calibration(place, signal) {
  const waiting = h("p", { class: "status" }, "Asking the references…");
  place.append(waiting);
  const ask = (rate) => get(`/gallery/calibration?${new URLSearchParams({ false_accept_rate: rate })}`, { signal });
  let points;
  try {
    // The largest rate first: it tells how small a rate so many references can tell.
    const largest = await ask(RATES.at(-1));
    const rates = RATES.filter((rate) => rate * (largest.impostors + 1) >= 1 && rate < RATES.at(-1));
    points = [...(await Promise.all(rates.map(async (rate) => ({ rate, ...(await ask(rate)) })))), { rate: RATES.at(-1), ...largest }];
  } finally {
    waiting.remove();
  }
  const slider = h("input", { type: "range", min: 0, max: points.length - 1, step: 1 });
  const facts = h("dl", { class: "tiles" });
  const { drawing, mark } = curve(points);

  function show() {
    const point = points[slider.value];
    slider.setAttribute("aria-valuetext", `${percent(point.rate)} false accepts, ${percent(point.expected_miss_rate)} misses`);
    mark(Number(slider.value));
    const [low, high] = point.interval;
    facts.replaceChildren(
      fact("False accepts asked for", percent(point.rate), `9 times in 10 between ${percent(low)} and ${percent(high)}`),
      fact("Misses expected", percent(point.expected_miss_rate), `from ${number(point.genuine)} references`),
      fact("Threshold", point.threshold.toFixed(3), `from ${number(point.impostors)} references`),
    );
  }

  const wanted = points.findIndex(({ rate }) => rate >= 0.05);
  slider.value = wanted < 0 ? points.length - 1 : wanted;
  slider.addEventListener("input", show);
  place.append(
    h("div", { class: "card curve" }, drawing, field("From false accepts to misses", slider, "Left: hardly ever a wrong name. Right: hardly ever none.")),
    facts,
    h("p", { class: "hint" }, "False accepts: photographs of unknown products that are named. Misses: photographs of enrolled products that are not named first. Send false_accept_rate with /recognize to work with it."),
  );
  show();
}

function curve(points) {
  const most = Math.max(0.1, ...points.map((point) => point.expected_miss_rate));
  // By the logarithm: 1 % and 2 % lie as far apart as 10 % and 20 %.
  const [first, last] = [points[0].rate, points.at(-1).rate].map(Math.log);
  const x = (rate) => LEFT + ((WIDTH - LEFT - 20) * (Math.log(rate) - first)) / (last - first || 1);
  const y = (miss) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * miss) / most;
  const line = points.map((point) => `${x(point.rate)},${y(point.expected_miss_rate)}`).join(" ");
  const dot = s("circle", { r: 7, class: "mark" });
  const labels = points.filter((_, at) => at % 2 === (points.length - 1) % 2);
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Misses expected for each rate of false accepts" },
    ...[0, most / 2, most].flatMap((miss) => [
      s("line", { x1: LEFT, x2: WIDTH - 20, y1: y(miss), y2: y(miss), class: "grid-line" }),
      s("text", { x: LEFT - 8, y: y(miss) + 4, "text-anchor": "end" }, miss ? percent(miss) : "0"),
    ]),
    ...labels.map(({ rate }) => s("text", { x: x(rate), y: HEIGHT - BOTTOM + 20, "text-anchor": "middle" }, percent(rate))),
    s("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "False accepts"),
    s("text", { x: WIDTH - 20, y: TOP + 18, "text-anchor": "end" }, "Misses expected"),
    s("polyline", { points: line, class: "line" }),
    dot,
  );
  const mark = (at) => {
    dot.setAttribute("cx", x(points[at].rate));
    dot.setAttribute("cy", y(points[at].expected_miss_rate));
  };
  return { drawing, mark };
}

function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
