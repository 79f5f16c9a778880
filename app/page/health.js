// Can it answer, what does it hold, and how is it doing?
import { call, get, problemBox } from "./api.js";
import { fact, h, number, pause, plural } from "./dom.js";
import { ageOf, readMetrics, share, within } from "./metrics.js";

const PAUSE = 5000;

export async function health(root, { signal }) {
  const ready = h("p", { class: "ready", role: "status" });
  const holds = h("dl", { class: "tiles" });
  const model = h("dl", { class: "facts wide" });
  const doing = h("div", {});
  root.append(
    h("h1", {}, "Health"),
    ready,
    h("section", { "aria-labelledby": "holds" }, h("h2", { id: "holds" }, "Gallery"), holds, model),
    h("section", { "aria-labelledby": "doing" }, h("h2", { id: "doing" }, "Since the start"), doing),
  );
  while (!signal.aborted) {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      // A service that is away for a while is shown as such, and again when it is back.
      if ([401, 403].includes(error.status)) throw error;
    }
    await pause(PAUSE);
  }

  async function look() {
    const reason = await notReady(signal);
    ready.className = `ready ${reason ? "bad" : "good"}`;
    // Said only when it changes: a live region repeats whatever is set.
    const text = reason ?? "Ready to answer";
    if (ready.textContent !== text) ready.textContent = text;
    const found = await get("/gallery", { signal });
    holds.replaceChildren(
      fact("Products", number(found.products)),
      fact("Photographs", number(found.images)),
      fact("Revision", number(found.revision)),
      fact("Index", found.index.state, `${found.index.kind}, ${number(found.index.vectors)} vectors`),
    );
    model.replaceChildren(
      fact("Model", found.model.name),
      fact("Fingerprint", found.model.fingerprint),
      fact("Dimension", number(found.model.dimension)),
    );
    try {
      const text = await (await call("GET", "/metrics", { signal })).text();
      doing.replaceChildren(figures(readMetrics(text)));
    } catch (error) {
      if (signal.aborted) throw error;
      doing.replaceChildren(problemBox(error)); // such as a key that is not for this call
    }
  }
}

async function notReady(signal) {
  try {
    await call("GET", "/readyz", { signal });
    return null;
  } catch (error) {
    if (signal.aborted) throw error;
    return error.message;
  }
}

function figures(metrics) {
  const of = (name, labels) => metrics.sum(name, labels);
  const route = { route: "/recognize" };
  const answered = of("tillsight_request_seconds_count", route);
  const mean = of("tillsight_request_seconds_sum", route) / answered;
  const outcomes = of("tillsight_outcomes_total");
  const named = (outcome) => share(of("tillsight_outcomes_total", { outcome }), outcomes);
  const faults = metrics
    .all("tillsight_requests_total")
    // /readyz says 503 as long as the service starts, which is no fault.
    .filter(({ labels }) => labels.status >= "500" && labels.route !== "/readyz")
    .reduce((sum, { value }) => sum + value, 0);
  return h(
    "dl",
    { class: "tiles" },
    fact("Recognitions", number(answered), answered ? `${Math.round(1000 * mean)} ms on average` : null),
    fact("95 of 100 within", within(metrics.buckets("tillsight_request_seconds", route), 0.95)),
    fact("Match", named("match"), outcomes ? `of ${plural(outcomes, "body", "bodies")}` : null),
    fact("Ambiguous", named("ambiguous")),
    fact("Unknown", named("unknown")),
    fact("Waiting for a network", number(of("tillsight_queue_depth"))),
    fact("Jobs running", number(of("tillsight_jobs", { state: "running" }))),
    fact("Faults of the service", number(faults), "answers of 500 and above"),
    fact("Memory", `${number(of("process_resident_memory_bytes") / 2 ** 20)} MiB`),
    fact("Up for", ageOf(of("process_start_time_seconds"))),
  );
}
