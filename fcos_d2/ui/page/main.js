// The page: files come in, boxes and reasons come out.

import * as server from "./server.js";
import * as panel from "./panel.js";
import { byId } from "./dom.js";
import { asCoco, isAbove, start, state, thresholds } from "./state.js";
import { letDraw, showBoxes, showPicture } from "./stage.js";

let lastId = 0;
let question = 0; // number of the last one: answers to earlier ones come too late

function show() {
  if (state.selected?.object && !isAbove(state.selected.object)) forget();
  showPicture(state.current);
  showBoxes(state.current, chooseObject);
  panel.showControls();
  byId("download").disabled = !state.images.some((image) => image.status === "done");
}

function chooseImage(image) {
  state.current = image;
  forget();
  panel.showMessage(image.status === "failed" ? `${image.file.name}: ${image.message}` : "");
  panel.showStrip(chooseImage);
  show();
}

function forget() {
  state.selected = null;
  question += 1;
  panel.clearAnswer();
}

async function add(files) {
  const added = [...files].map((file) => ({ id: ++lastId, file, status: "waiting", objects: [] }));
  state.images.push(...added);
  panel.showStrip(chooseImage);
  for (const image of added) await look(image);
}

async function look(image) {
  try {
    if (image.file.size > state.model.max_bytes) {
      throw new Error(`more than ${state.model.max_bytes / 1e6} MB`);
    }
    const { picture, ...found } = await server.detect(image.file);
    Object.assign(image, found, { status: "done", url: server.urlOf(picture) });
  } catch (error) {
    Object.assign(image, { status: "failed", message: error.message });
    panel.showMessage(`${image.file.name}: ${error.message}`);
  }
  // The first image that can be shown is shown; later ones do not push it away.
  if (image.status === "done" && state.current?.status !== "done") state.current = image;
  panel.showStrip(chooseImage);
  show();
}

function chooseObject(object) {
  const { name } = state.model.classes[object.class];
  ask({ box: object.box, class: object.class, object }, `${name} ${object.score.toFixed(2)}`);
}

function chooseDrawn(box) {
  const value = byId("drawn-class").value;
  const index = value === "" ? null : Number(value);
  const name = index === null ? "any class" : state.model.classes[index].name;
  ask({ box, class: index, object: null }, `drawn box, ${name}`);
}

async function ask(selected, text) {
  state.selected = selected;
  const number = ++question;
  const box = selected.box.map((value) => Math.round(value)).join(", ");
  panel.showQuestion(`${text} at ${box}`);
  show();
  const className = selected.class === null ? null : state.model.classes[selected.class].name;
  let answer;
  try {
    answer = await server.why(state.current.file, selected.box, className, thresholds());
  } catch (error) {
    if (number === question) panel.showFailedAnswer(error.message);
    return;
  }
  if (number === question) panel.showAnswer(answer);
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(asCoco())], { type: "application/json" }));
  link.download = "detections.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function letDrop() {
  const body = document.body;
  body.addEventListener("dragover", (event) => {
    event.preventDefault();
    body.classList.add("dropping");
  });
  body.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("dropping");
  });
  body.addEventListener("drop", (event) => {
    event.preventDefault();
    body.classList.remove("dropping");
    add(event.dataTransfer.files);
  });
}

function letDrawByFinger() {
  const draw = byId("draw");
  draw.addEventListener("click", () => {
    const on = byId("stage").classList.toggle("drawing");
    draw.setAttribute("aria-pressed", String(on));
  });
  letDraw(chooseDrawn);
  byId("drawn-class").addEventListener("change", () => {
    if (state.selected && !state.selected.object) chooseDrawn(state.selected.box);
  });
}

function letReadReport(place) {
  byId("open-report").hidden = !place;
  byId("open-report").addEventListener("click", () => {
    if (!byId("report-frame").src) byId("report-frame").src = place;
    byId("report").showModal();
  });
  byId("close-report").addEventListener("click", () => byId("report").close());
}

try {
  start(await server.model());
  panel.makeControls(show);
  letReadReport(state.model.report);
  letDrop();
  letDrawByFinger();
  byId("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
  byId("download").addEventListener("click", download);
  panel.showStrip(chooseImage);
  show();
  document.body.classList.add("ready");
} catch (error) {
  panel.showMessage(error.message);
}
