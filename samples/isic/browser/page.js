// The page: reads a photograph, runs the network in this browser, shows its answer.
// build.py writes model.json, from which all names and numbers of the network come.

import * as ort from "./ort.wasm.bundle.min.mjs";

const PICTURE_SIDE = 1200; // pixels of the longer side of what is shown, at most
// The formats of mrcnn_skin that browsers read, too, by their first bytes
const FORMATS = { JPEG: [0xff, 0xd8, 0xff], PNG: [0x89, 0x50, 0x4e, 0x47], BMP: [0x42, 0x4d] };

const at = (id) => document.getElementById(id);

class Unreadable extends Error {}

/** Let the service worker keep the page's files; whether it has them. */
async function keepForOffline() {
  if (!navigator.serviceWorker) return false; // http: from another machine
  const { active, installing, waiting } = await navigator.serviceWorker.register("sw.js");
  const worker = active ?? waiting ?? installing;
  while (!["activated", "redundant"].includes(worker.state)) {
    await new Promise((changed) => {
      worker.addEventListener("statechange", changed, { once: true });
    });
  }
  return worker.state === "activated";
}

/** The network, and model.json. */
async function load() {
  // First, so that nothing is fetched twice
  const isKept = await keepForOffline().catch(() => false);
  at("offline").textContent = isKept
    ? "Kept in this browser: from now on the page works without a network."
    : "This browser keeps nothing: the page needs its server each time.";
  const model = await (await fetch("model.json", { cache: "no-cache" })).json();
  at("licence").textContent = `${model.licence}.`;
  at("card").hidden = !model.has_card;
  at("runtime").textContent = model.runtime;
  ort.env.wasm.proxy = true; // in a worker, so that the page stays usable
  // Threads share memory, which browsers allow only in cross-origin isolated pages
  const cores = navigator.hardwareConcurrency ?? 1;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(cores, 4) : 1;
  const file = await fetch("network.onnx", { integrity: model.integrity });
  const session = await ort.InferenceSession.create(await file.arrayBuffer());
  return { model, session };
}

/** Decode a file as it is meant to be seen: {bitmap, rgb: Uint8Array [h, w, 3]}. */
async function readImage(file, maxPixels) {
  if (!file.size) throw new Unreadable("the file is empty (0 bytes)");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const starts = (magic) => magic.every((byte, i) => bytes[i] === byte);
  if (!Object.values(FORMATS).some(starts)) {
    throw new Unreadable("its content is not JPEG, PNG or BMP");
  }
  // The EXIF orientation is applied, a colour profile is not: as in Python
  const options = {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  };
  const bitmap = await createImageBitmap(file, options).catch(() => {
    throw new Unreadable("the file is damaged");
  });
  const { width, height } = bitmap;
  if (width * height > maxPixels) {
    throw new Unreadable(`${height} x ${width} pixels are more than the limit of ${maxPixels}`);
  }
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    // Browsers lose the colour under transparency, which Python sees
    if (rgba[from + 3] !== 255) throw new Unreadable("it has transparent pixels");
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return { bitmap, rgb };
}

/** The class of the best lesion by the operating point, as in inference/detector.py. */
function decide({ class_names, malignant_class_ids, operating_point }, outputs) {
  const { threshold } = operating_point;
  if (threshold === null || !outputs.p_malignant) return Number(outputs.class_ids.data[0]);
  const isMalignant = outputs.p_malignant.data[0] >= threshold;
  const side = class_names
    .map((_, id) => id)
    .filter((id) => id > 0 && malignant_class_ids.includes(id) === isMalignant);
  const probs = outputs.probs.data;
  return side.reduce((best, id) => (probs[id] > probs[best] ? id : best));
}

/** What the network says of the best lesion; the names are those of predictions.csv. */
async function detect({ model, session }, { bitmap, rgb }) {
  const { width, height } = bitmap;
  const images = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const outputs = await session.run({ images });
  const first = (name) => outputs[name]?.data[0];
  const answer = {
    low_confidence: Boolean(first("low_confidence")),
    unfamiliar: Boolean(first("unfamiliar")),
    unfamiliar_score: first("unfamiliar_score"),
    found: Number(first("num_detections")) > 0,
  };
  if (!answer.found) return answer;
  return {
    ...answer,
    p_malignant: first("p_malignant"),
    predicted_class: model.class_names[decide(model, outputs)],
    score: first("scores"),
    box: Array.from(outputs.boxes.data.slice(0, 4)), // y1 x1 y2 x2, pixels
    mask: outputs.masks?.data.subarray(0, width * height),
  };
}

function showWords(model, name, { width, height }, answer) {
  at("name").textContent = name;
  at("unfamiliar").hidden = !answer.unfamiliar;
  at("distance").textContent = answer.unfamiliar
    ? `(Its distance from them is ${answer.unfamiliar_score.toFixed(1)}; the limit is 1.)`
    : "";
  const p = answer.p_malignant;
  at("diagnosis").hidden = p === undefined;
  if (p !== undefined) {
    const { threshold, note } = model.operating_point;
    at("p").textContent = p.toFixed(3);
    at("bar").style.width = `${100 * p}%`;
    at("cut").hidden = threshold === null;
    at("cut").style.left = `${100 * threshold}%`;
    const side = p >= threshold ? "Above" : "Below";
    at("side").textContent =
      threshold === null ? "" : `${side} the operating point ${threshold.toFixed(3)}.`;
    at("note").textContent = note;
  }
  at("low").hidden = !(answer.found && answer.low_confidence);
  const size = `${width} x ${height} pixels`;
  at("finding").textContent = answer.found
    ? `Predicted class: ${answer.predicted_class}. Confidence ${answer.score.toFixed(2)}. ` +
      `Box: ${inWords(answer.box)}, of ${size}.`
    : `No lesion found in ${size}.`;
}

/** What a screen reader says when the answer is there. */
function inBrief(answer) {
  if (answer.unfamiliar) return "unlike the images that the network learned from.";
  if (!answer.found) return "no lesion found.";
  if (answer.p_malignant === undefined) return `${answer.predicted_class}.`;
  return `P(malignant) ${answer.p_malignant.toFixed(3)}.`;
}

function inWords(box) {
  const [y1, x1, y2, x2] = box.map((edge) => edge.toFixed(1));
  return `x ${x1} to ${x2}, y ${y1} to ${y2}`;
}

function draw(bitmap, answer) {
  const { width, height } = bitmap;
  const scale = Math.min(1, PICTURE_SIDE / Math.max(width, height));
  const canvas = at("picture");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.setAttribute(
    "aria-label",
    answer.found
      ? `The photograph with the lesion's outline and box: ${inWords(answer.box)}`
      : "The photograph; no lesion was found",
  );
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  if (!answer.found) return;
  context.scale(canvas.width / width, canvas.height / height);
  const line = Math.max(canvas.width, canvas.height) / 300 / scale;
  const [y1, x1, y2, x2] = answer.box;
  context.lineWidth = line;
  context.strokeStyle = "#fff";
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  if (!answer.mask) return;
  context.lineWidth = 1.5 * line;
  context.lineCap = "round";
  context.strokeStyle = "#d9600a";
  context.stroke(outline(answer.mask, width, height));
}

/** The edges between a mask's pixels and others, as a path in pixels of the image. */
function outline(mask, width, height) {
  const path = new Path2D();
  const value = (y, x) => (x >= 0 && x < width && y >= 0 && y < height ? mask[y * width + x] : 0);
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      const here = value(y, x);
      if (here !== value(y, x - 1)) {
        path.moveTo(x, y);
        path.lineTo(x, y + 1);
      }
      if (here !== value(y - 1, x)) {
        path.moveTo(x, y);
        path.lineTo(x + 1, y);
      }
    }
  }
  return path;
}

async function analyse(loaded, file) {
  at("status").textContent = `Analysing ${file.name} …`;
  at("problem").hidden = at("answer").hidden = true;
  const start = performance.now();
  try {
    const image = await readImage(file, loaded.model.max_image_pixels);
    const answer = await detect(loaded, image);
    showWords(loaded.model, file.name, image.bitmap, answer);
    at("answer").hidden = false;
    draw(image.bitmap, answer);
    image.bitmap.close();
    const seconds = (performance.now() - start) / 1000;
    at("status").textContent =
      `Analysed ${file.name} in ${seconds.toFixed(1)} s: ${inBrief(answer)}`;
  } catch (error) {
    const fault =
      error instanceof Unreadable ? "cannot be read as an image" : "could not be analysed";
    complain(`${file.name} ${fault}: ${error.message}`);
  }
}

function complain(text) {
  at("status").textContent = "";
  at("problem").textContent = text;
  at("problem").hidden = false;
}

/** Analyse the files that are chosen or dropped, one after the other. */
function listen(loaded) {
  const input = at("file");
  let last = Promise.resolve();
  const take = (files) => {
    if (files.length > 1) complain("Only one photograph at a time.");
    const [file] = files;
    if (files.length === 1) last = last.then(() => analyse(loaded, file));
  };
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // so that the same file may be chosen again
  });
  // On the whole page: a browser leaves the page for a file that misses
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, () => at("drop").classList.remove("over"));
  }
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
  input.disabled = false;
  at("status").textContent = "Ready.";
}

load().then(listen, (error) => complain(`The network could not be loaded: ${error.message}`));
