// TILLSIGHT_URL=http://127.0.0.1:8000 TILLSIGHT_KEY=tillsight_… node recognize.mjs photo.jpg
// Node 20 or newer; in a browser the file comes from an <input type="file"> or a canvas, and the
// page's origin must be in TILLSIGHT_CORS_ORIGINS.
import { openAsBlob } from "node:fs";

const form = new FormData();
form.append("image", await openAsBlob(process.argv[2]), "photo.jpg");
const answer = await fetch(`${process.env.TILLSIGHT_URL}/recognize`, {
  method: "POST",
  headers: { Authorization: `Bearer ${process.env.TILLSIGHT_KEY}` },
  body: form,
  signal: AbortSignal.timeout(30_000),
});
const document = await answer.json();
if (!answer.ok) {
  console.error(`${document.code}: ${document.detail}`);
  process.exit(1);
}
for (const { outcome, product, score } of document.results) {
  console.log(outcome, product?.name ?? "-", score);
}
