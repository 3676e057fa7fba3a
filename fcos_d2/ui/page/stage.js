// The picture with its boxes: each is a button; a drag draws a new one.

import { state, visibleObjects } from "./state.js";
import { byId, element, percent } from "./dom.js";

const DRAG = 5; // px on the screen from which a press is a drag and no click

const stage = byId("stage");
const drawn = byId("drawn");

export function showPicture(image) {
  stage.hidden = !image?.url;
  byId("empty").hidden = Boolean(image?.url);
  byId("caption").hidden = !image;
  if (!image) return;
  byId("file-name").textContent = image.file.name;
  if (!image.url) return;
  const picture = byId("picture");
  if (picture.src !== image.url) picture.src = image.url;
  picture.alt = image.file.name;
  stage.style.setProperty("--aspect", image.width / image.height);
}

// Large boxes first, so that those inside lie above them and can be clicked. Labels lie above all
// boxes, the surest on top.
export function showBoxes(image, choose) {
  const objects = image?.status === "done" ? visibleObjects(image) : [];
  const bySize = [...objects].sort((a, b) => areaOf(b.box) - areaOf(a.box));
  const byScore = [...objects].sort((a, b) => a.score - b.score);
  byId("boxes").replaceChildren(...bySize.map((object) => boxOf(image, object, choose)));
  byId("labels").replaceChildren(...byScore.map((object) => labelOf(image, object, choose)));
  byId("count").textContent =
    image?.status === "done" ? `${objects.length} of ${image.objects.length} detections` : "";
  const asked = state.selected;
  drawn.hidden = !asked || asked.object !== null;
  if (!drawn.hidden) place(drawn, image, asked.box);
}

const textOf = ({ class: index, score }) =>
  `${state.model.classes[index].name} ${score.toFixed(2)}`;

function boxOf(image, object, choose) {
  const box = element("button", "box");
  box.type = "button";
  box.setAttribute("aria-label", `why ${textOf(object)}`);
  box.setAttribute("aria-pressed", String(state.selected?.object === object));
  box.style.setProperty("--class", state.model.classes[object.class].color);
  place(box, image, object.box);
  box.addEventListener("click", () => choose(object));
  return box;
}

function labelOf(image, object, choose) {
  const [x1, y1, x2] = object.box;
  const label = element("span", "label", textOf(object));
  label.style.setProperty("--class", state.model.classes[object.class].color);
  // Above the upper left corner, unless it would be cut off there.
  const atRight = x1 > 0.8 * image.width;
  label.classList.toggle("inside", y1 < 0.04 * image.height);
  label.style.top = percent(y1 / image.height);
  label.style[atRight ? "right" : "left"] = percent(atRight ? 1 - x2 / image.width : x1 / image.width);
  label.addEventListener("click", () => choose(object));
  return label;
}

function place(node, image, [x1, y1, x2, y2]) {
  node.style.left = percent(x1 / image.width);
  node.style.top = percent(y1 / image.height);
  node.style.width = percent((x2 - x1) / image.width);
  node.style.height = percent((y2 - y1) / image.height);
}

const areaOf = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

// Calls finished(box) with xyxy px of the image. A finger draws only while drawing is switched on;
// otherwise it scrolls.
export function letDraw(finished) {
  let begin = null;
  let box = null;
  let stray = false; // whether the click that follows belongs to a drag

  stage.addEventListener("pointerdown", (event) => {
    stray = false;
    const scrolls = event.pointerType === "touch" && !stage.classList.contains("drawing");
    if (event.button !== 0 || scrolls || state.current?.status !== "done") return;
    begin = event;
  });
  stage.addEventListener("pointermove", (event) => {
    if (!begin) return;
    const far = Math.hypot(event.clientX - begin.clientX, event.clientY - begin.clientY);
    if (!box && far < DRAG) return;
    if (!box) stage.setPointerCapture(event.pointerId);
    box = boxBetween(begin, event);
    drawn.hidden = false;
    place(drawn, state.current, box);
  });
  stage.addEventListener("pointerup", () => {
    const ready = box;
    begin = box = null;
    if (!ready) return;
    stray = true;
    if (areaOf(ready) > 0) finished(ready);
  });
  stage.addEventListener("pointercancel", () => {
    begin = box = null;
    drawn.hidden = true;
  });
  stage.addEventListener("click", (event) => stray && event.stopPropagation(), true);
  byId("picture").draggable = false;
}

function boxBetween(a, b) {
  const frame = byId("picture").getBoundingClientRect();
  const { width, height } = state.current;
  const inside = (value, limit) => Math.round(Math.min(Math.max(value, 0), 1) * limit * 10) / 10;
  const xs = [a, b].map((p) => inside((p.clientX - frame.left) / frame.width, width));
  const ys = [a, b].map((p) => inside((p.clientY - frame.top) / frame.height, height));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}
