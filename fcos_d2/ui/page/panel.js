// The controls: thresholds, classes, the strip of images, the answer to "why".

import { isAbove, state, thresholdOf } from "./state.js";
import { byId, element } from "./dom.js";
import { urlOf } from "./server.js";

export function makeControls(changed) {
  const { floor, classes } = state.model;
  byId("model-name").textContent = state.model.name;
  const main = byId("threshold");
  main.min = floor;
  main.max = 0.99;
  main.value = state.threshold;
  main.addEventListener("input", () => {
    state.threshold = Number(main.value);
    changed();
  });
  const byClass = byId("by-class");
  byClass.checked = state.byClass;
  byClass.addEventListener("change", () => {
    state.byClass = byClass.checked;
    changed();
  });
  byId("classes").replaceChildren(...classes.map((_, index) => classRow(index, changed)));
  const choices = [["", "any class"], ...classes.map(({ name }, index) => [index, name])];
  byId("drawn-class").replaceChildren(
    ...choices.map(([value, name]) => {
      const option = element("option", "", name);
      option.value = value;
      return option;
    }),
  );
}

function classRow(index, changed) {
  const { name, color } = state.model.classes[index];
  const row = element("li");
  row.style.setProperty("--class", color);
  const label = element("label", "check");
  const check = element("input");
  check.type = "checkbox";
  check.checked = true;
  check.addEventListener("change", () => {
    state.shownClasses[index] = check.checked;
    changed();
  });
  label.append(check, element("span", "dot"), element("span", "name", name));
  const slider = element("input", "own");
  slider.type = "range";
  slider.step = 0.01;
  slider.min = state.model.floor;
  slider.max = 0.99;
  slider.value = state.classThresholds[index];
  slider.setAttribute("aria-label", `threshold of ${name}`);
  slider.addEventListener("input", () => {
    state.classThresholds[index] = Number(slider.value);
    changed();
  });
  row.append(label, element("span", "number"), slider, element("output", "value"));
  return row;
}

export function showControls() {
  byId("threshold-value").textContent = state.byClass ? "" : state.threshold.toFixed(2);
  byId("threshold").disabled = state.byClass;
  const objects = state.current?.status === "done" ? state.current.objects : [];
  [...byId("classes").children].forEach((row, index) => {
    const shown = objects.filter((object) => object.class === index && isAbove(object));
    row.querySelector(".number").textContent = shown.length;
    row.querySelector(".own").hidden = row.querySelector(".value").hidden = !state.byClass;
    row.querySelector(".value").textContent = thresholdOf(index).toFixed(2);
  });
}

export function showStrip(choose) {
  byId("strip").hidden = state.images.length === 0;
  byId("strip").replaceChildren(
    ...state.images.map((image) => {
      const entry = element("button", `entry ${image.status}`);
      entry.type = "button";
      entry.setAttribute("aria-current", String(image === state.current));
      if (image.thumbnail) {
        const thumbnail = element("img");
        thumbnail.src = image.thumbnail;
        thumbnail.alt = "";
        entry.append(thumbnail);
      }
      entry.append(element("span", "name", image.file.name));
      if (image.status !== "done") {
        entry.append(element("span", "soft", image.status === "failed" ? image.message : "…"));
      }
      entry.addEventListener("click", () => choose(image));
      return entry;
    }),
  );
}

export function showMessage(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

export function clearAnswer() {
  byId("answer").hidden = true;
}

export function showQuestion(text) {
  byId("answer").hidden = false;
  byId("asked").textContent = text;
  byId("paragraph").textContent = "Looking …";
  byId("step").hidden = true;
  byId("why-picture").hidden = true;
  byId("rows").replaceChildren();
}

// answer: {step, paragraph, columns, rows, picture}
export function showAnswer({ step, paragraph, columns, rows, picture }) {
  byId("step").textContent = step;
  byId("step").hidden = false;
  byId("paragraph").textContent = paragraph;
  const image = byId("why-picture");
  if (image.src) URL.revokeObjectURL(image.src);
  image.src = urlOf(picture);
  image.hidden = false;
  const line = (tag, cells) => {
    const row = element("tr");
    row.append(...cells.map((cell) => element(tag, "", cell)));
    return row;
  };
  const lines = rows.map((cells) => line("td", cells));
  byId("rows").replaceChildren(...(rows.length ? [line("th", columns), ...lines] : []));
  image.decode().then(() => byId("answer").scrollIntoView({ block: "nearest" }));
}

export function showFailedAnswer(text) {
  byId("paragraph").textContent = text;
}
