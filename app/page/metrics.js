// Prometheus' text format, as far as a person wants to know.

const SAMPLE = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/i;
const LABEL = /([a-z_]\w*)="((?:[^"\\]|\\.)*)"/gi;

export function readMetrics(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = SAMPLE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(LABEL)].map((one) => [one[1], one[2]]));
    samples.push({ name: match[1], labels, value: Number(match[3].replace("Inf", "Infinity")) });
  }
  const all = (name, wanted = {}) =>
    samples.filter(
      (one) =>
        one.name === name && Object.entries(wanted).every(([label, value]) => one.labels[label] === value),
    );
  return {
    all,
    sum: (name, labels) => all(name, labels).reduce((sum, { value }) => sum + value, 0),
    // [upper bound in seconds, how many are at or below], the smallest bound first.
    buckets: (name, labels) =>
      all(`${name}_bucket`, labels).map(({ labels: { le }, value }) => [Number(le.replace("+Inf", "Infinity")), value]),
  };
}

// The bound that a share of all observations keeps; no finer than the buckets are.
export function within(buckets, wanted) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (!total) return "–";
  const [bound] = buckets.find(([, count]) => count >= wanted * total);
  if (bound === Infinity) return `over ${buckets.at(-2)[0]} s`;
  return bound < 1 ? `${Math.round(1000 * bound)} ms` : `${bound} s`;
}

export const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");

export function ageOf(startSeconds) {
  const minutes = Math.floor((Date.now() / 1000 - startSeconds) / 60);
  if (minutes < 60) return `${Math.max(0, minutes)} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
}
