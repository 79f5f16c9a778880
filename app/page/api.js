// Calls of the public API. Whatever goes wrong becomes a Problem, as the service words it.
import { askForKey, currentKey } from "./key.js";
import { h } from "./dom.js";

export class Problem extends Error {
  constructor(document, retryAfter = null) {
    super(document.detail);
    Object.assign(this, { title: "Error", code: "", status: 0 }, document);
    this.retryAfter = retryAfter;
  }
}

const UNREACHABLE = {
  title: "No answer",
  detail: "The service can't be reached. Check that it runs and that this device is connected.",
};

export const path = (strings, ...values) =>
  strings.reduce((made, text, at) => made + encodeURIComponent(values[at - 1]) + text);

// A request without a body of files; resolves to the Response of a success.
export async function call(method, url, { json, body = JSON.stringify(json), headers = {}, signal } = {}) {
  const key = currentKey();
  const all = { ...headers, ...authorization(key) };
  if (body !== undefined) all["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers: all,
      body,
      signal,
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHABLE);
  }
  if (answer.ok) return answer;
  const problem = read(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  if (await unlocked(problem, key)) return call(method, url, { body, headers, signal });
  throw problem;
}

export const get = async (url, options) => (await call("GET", url, options)).json();

// A POST of files. `onprogress` is told the share that has been sent: fetch can't.
export async function send(url, body, { headers = {}, onprogress, signal } = {}) {
  signal?.throwIfAborted();
  const key = currentKey();
  const request = new XMLHttpRequest();
  request.open("POST", url);
  for (const [name, value] of Object.entries({ ...headers, ...authorization(key) })) {
    request.setRequestHeader(name, value);
  }
  await new Promise((resolve, reject) => {
    request.addEventListener("load", resolve);
    request.addEventListener("error", () => reject(new Problem(UNREACHABLE)));
    request.addEventListener("abort", () => reject(new DOMException("Stopped", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    if (onprogress) {
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) onprogress(event.loaded / event.total);
      });
    }
    request.send(body);
  });
  if (request.status < 300) return JSON.parse(request.responseText);
  const wait = request.getResponseHeader("Retry-After");
  const problem = read(request.status, request.responseText, wait);
  if (await unlocked(problem, key)) return send(url, body, { headers, onprogress, signal });
  throw problem;
}

// A key of one request, so that sent twice it is done once. randomUUID is for https only.
export function idempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { "Idempotency-Key": Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("") };
}

export function problemBox(problem, ...more) {
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("strong", {}, problem.title ?? "Error"),
    h("p", {}, problem.message),
    more,
    problem.code ? h("code", {}, problem.code) : null,
  );
}

function authorization(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function unlocked(problem, key) {
  if (problem.status !== 401) return false;
  // Another call may have got a key while this one was on its way.
  return currentKey() !== key || askForKey(problem.message);
}

function read(status, text, retryAfter) {
  try {
    return new Problem(JSON.parse(text), retryAfter);
  } catch {
    // A proxy's page, not the service's problem.
    return new Problem({ status, title: `Status ${status}`, detail: UNREACHABLE.detail }, retryAfter);
  }
}
