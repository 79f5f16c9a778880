// Files as people give them: chosen, dropped, pasted, or taken with the camera.
import { h } from "./dom.js";

export function dropzone({ accept, multiple = false, take, title, hint, capture = false }) {
  const input = h("input", {
    type: "file",
    accept,
    multiple,
    capture: capture ? "environment" : null,
    class: "unseen",
    tabindex: "-1",
    "aria-label": title,
    onchange: () => {
      if (input.files.length) take([...input.files]);
      input.value = ""; // the same file may be chosen again
    },
  });
  const button = h("button", { type: "button", class: "primary", onclick: () => input.click() }, title);
  const zone = h("div", { class: "dropzone" }, h("div", { class: "row" }, button, input));
  if (hint) zone.append(h("p", { class: "hint" }, hint));
  droppable(zone, multiple ? take : (files) => take(files.slice(0, 1)));
  return zone;
}

export function droppable(zone, take) {
  let depth = 0; // enter and leave also come from what is inside
  const over = (by) => {
    depth = Math.max(0, depth + by);
    zone.classList.toggle("over", depth > 0);
  };
  zone.addEventListener("dragenter", () => over(1));
  zone.addEventListener("dragleave", () => over(-1));
  zone.addEventListener("drop", (event) => {
    over(-depth);
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}

export function onPaste(signal, take) {
  const paste = (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) take(file);
  };
  document.addEventListener("paste", paste, { signal });
}

// A live picture and a shutter; resolves to a JPEG, or to null when it was closed.
export async function photograph(signal) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: false,
    video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1440 } },
  });
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  if (signal.aborted) {
    stop(); // the camera was allowed when another view was shown
    return null;
  }
  const video = h("video", { autoplay: true, playsinline: true, "aria-label": "Camera" });
  video.muted = true;
  video.srcObject = stream;
  const shutter = h("button", { value: "take", class: "primary", disabled: true }, "Take photograph");
  video.addEventListener("loadeddata", () => {
    shutter.disabled = false;
    shutter.focus();
  });
  const dialog = h(
    "dialog",
    { class: "camera", "aria-label": "Camera" },
    h(
      "form",
      { method: "dialog" },
      video,
      h("div", { class: "row end" }, h("button", { value: "cancel", class: "quiet" }, "Cancel"), shutter),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve));
  let picture = null;
  if (dialog.returnValue === "take") {
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  }
  stop();
  dialog.remove();
  return picture && new File([picture], "camera.jpg", { type: "image/jpeg" });
}

// Over plain http from another machine a browser has no camera to give; phones then offer theirs
// when a file is asked for.
export const hasLiveCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);
