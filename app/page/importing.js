// A zip of products, and how far the service is with it. The job is in the address: a page that is
// loaded again, or another one, goes on showing it.
import { call, get, idempotencyKey, path, problemBox, send } from "./api.js";
import { confirm, h, number, pause, plural, progress, say } from "./dom.js";
import { dropzone } from "./files.js";

const PAUSE = 700; // milliseconds between two looks at a job
const ENDED = ["done", "failed", "cancelled"];
const LATELY = 10; // jobs in the list

let checked = null; // the archive of a dry run, to import for good

export async function importing(root, { argument: jobId, signal }) {
  const dry = h("input", { type: "checkbox", checked: true });
  const place = h("div", { class: "job" });

  async function start(file, dryRun) {
    const bar = progress("Upload");
    place.replaceChildren(h("p", {}, "Sending ", h("bdi", {}, file.name), "…"), bar);
    try {
      // Windows calls a zip x-zip-compressed, others send no type at all.
      const headers = { "Content-Type": "application/zip", ...idempotencyKey() };
      const onprogress = (share) => {
        bar.value = share;
      };
      const url = `/gallery/import?dry_run=${dryRun}`;
      const { job_id: accepted } = await send(url, file, { headers, onprogress, signal });
      checked = dryRun ? { job: accepted, file } : null;
      location.hash = `#import/${encodeURIComponent(accepted)}`;
    } catch (error) {
      if (!signal.aborted) place.replaceChildren(problemBox(error));
    }
  }

  root.append(
    h("h1", {}, "Import"),
    h("p", { class: "lead" }, "Many products at once, from a zip."),
    dropzone({
      accept: ".zip,application/zip",
      title: "Choose a zip",
      hint: "Or drop it here. A folder of photographs for each product, named by its id, and perhaps products.csv with the columns id, name and metadata; or an export of another gallery.",
      take: ([file]) => start(file, dry.checked),
    }),
    h("label", { class: "check" }, dry, "Only check it: read everything, store nothing"),
    place,
  );
  if (jobId) await watch(place, jobId, signal, start);
  else place.append(...lately((await get("/jobs", { signal })).jobs));
}

// Jobs that are under way, or were: whoever started one may have closed the page.
function lately(jobs) {
  if (!jobs.length) return [];
  const items = jobs.slice(0, LATELY).map((job) =>
    h(
      "li",
      {},
      h("a", { href: `#import/${encodeURIComponent(job.id)}` }, heading(job)),
      h("p", { class: "hint" }, `${new Date(job.created_at).toLocaleString("en")} · ${figures(job)}`),
    ),
  );
  return [h("h2", {}, "Lately"), h("ul", { class: "lately" }, items)];
}

async function watch(place, jobId, signal, start) {
  const title = h("h2", {});
  const bar = progress("Items done");
  const tally = h("p", { class: "figures" });
  const rest = h("div", {});
  const stop = h("button", { type: "button", class: "quiet", hidden: true, onclick: cancel }, "Cancel…");
  place.replaceChildren(title, bar, tally, stop, rest);
  let said = "";

  async function cancel() {
    const text = "It ends after the items at hand; what it has stored by then stays in the gallery.";
    if (!(await confirm("Cancel the import?", text, "Cancel it"))) return;
    try {
      await call("POST", path`/jobs/${jobId}/cancel`, { signal });
      stop.disabled = true;
    } catch (error) {
      if (!signal.aborted) stop.after(problemBox(error));
    }
  }

  while (!signal.aborted) {
    let job;
    try {
      job = await get(path`/jobs/${jobId}`, { signal });
    } catch (error) {
      // The service goes on with a job when it is back; so does whoever watches it.
      if (signal.aborted || (error.status && error.status < 500)) throw error;
      rest.replaceChildren(problemBox(error));
      await pause(PAUSE);
      continue;
    }
    const waits = job.state === "running" && job.detail;
    rest.replaceChildren(...(waits ? [h("p", { class: "hint" }, job.detail)] : []));
    title.textContent = heading(job);
    if (said !== title.textContent) say((said = title.textContent));
    bar.max = Math.max(1, job.total);
    bar.value = ["done", "failed"].includes(job.state) ? bar.max : job.done;
    tally.textContent = figures(job);
    stop.hidden = job.kind !== "import" || ENDED.includes(job.state);
    if (ENDED.includes(job.state)) {
      rest.append(...outcome(job, start));
      return;
    }
    await pause(PAUSE);
  }
}

function heading({ dry_run: dryRun, kind, state }) {
  if (state === "queued") return "Waiting for its turn";
  if (state === "failed") return "Failed";
  if (state === "cancelled") return "Cancelled";
  if (kind !== "import") return state === "done" ? "Done" : "Working…";
  if (state === "done") return dryRun ? "Checked; nothing was stored" : "Imported";
  return dryRun ? "Checking…" : "Importing…";
}

function figures(job) {
  const parts = [`${number(job.done)} of ${plural(job.total, "item")}`];
  const would = job.dry_run ? "would be " : "";
  if (job.created) parts.push(`${plural(job.created, "product")} ${would}created`);
  if (job.changed) parts.push(`${plural(job.changed, "product")} ${would}changed`);
  if (!job.dry_run) parts.push(`${plural(job.added, "photograph")} added`);
  if (job.duplicates) parts.push(`${number(job.duplicates)} already there`);
  if (job.embedded_again) parts.push(`${number(job.embedded_again)} embedded again`);
  if (job.failed) parts.push(`${number(job.failed)} left out`);
  return parts.join(" · ");
}

function outcome(job, start) {
  const parts = [];
  if (job.state === "cancelled") parts.push(h("p", { class: "hint" }, job.detail));
  else if (job.detail) parts.push(problemBox({ title: "The job failed", message: job.detail }));
  if (job.errors.length) {
    const rows = job.errors.map((error) =>
      h("tr", {}, h("td", {}, error.item), h("td", {}, error.detail), h("td", {}, h("code", {}, error.code))),
    );
    const head = ["Item", "Why it was left out", "Code"].map((text) => h("th", { scope: "col" }, text));
    parts.push(
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Errors" },
        h("table", { class: "errors" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
      ),
    );
  }
  if (job.state === "done" && job.dry_run && checked?.job === job.id) {
    const { file } = checked;
    const go = h("button", { type: "button", class: "primary" }, "Import it now");
    go.addEventListener("click", () => start(file, false));
    parts.push(go);
  }
  if (job.state === "done" && !job.dry_run) {
    parts.push(h("a", { class: "button", href: "#gallery" }, "See the gallery"));
  }
  return parts;
}
