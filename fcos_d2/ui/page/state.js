// What the page knows, and what follows from it. Nothing here touches the document.

export const state = {
  model: null, // answer of /model
  threshold: 0.5,
  byClass: false,
  classThresholds: [], // one for each class, used where byClass
  shownClasses: [], // true or false for each class
  images: [], // {id, file, status, message, width, height, objects, thumbnail, url}
  current: null, // an image
  selected: null, // {box, class: index or null, object: the detection or null}
};

export function start(model) {
  state.model = model;
  state.classThresholds = model.classes.map(({ threshold }) => threshold);
  state.threshold = Math.min(...state.classThresholds);
  state.byClass = state.classThresholds.some((value) => value !== state.threshold);
  state.shownClasses = model.classes.map(() => true);
}

export const thresholdOf = (index) =>
  state.byClass ? state.classThresholds[index] : state.threshold;

export const thresholds = () => state.classThresholds.map((_, index) => thresholdOf(index));

export const isAbove = (object) => object.score >= thresholdOf(object.class);

export const visibleObjects = (image) =>
  image.objects.filter((object) => isAbove(object) && state.shownClasses[object.class]);

// The images with what is shown on them, as a COCO dataset whose annotations have scores.
export function asCoco() {
  const done = state.images.filter((image) => image.status === "done");
  const annotations = [];
  for (const image of done) {
    for (const { box: [x1, y1, x2, y2], score, class: index } of visibleObjects(image)) {
      annotations.push({
        id: annotations.length + 1,
        image_id: image.id,
        category_id: index + 1,
        bbox: [x1, y1, x2 - x1, y2 - y1],
        area: (x2 - x1) * (y2 - y1),
        iscrowd: 0,
        score,
      });
    }
  }
  return {
    info: { description: `detections of ${state.model.name}` },
    images: done.map(({ id, file, width, height }) => ({ id, file_name: file.name, width, height })),
    categories: state.model.classes.map(({ name }, index) => ({ id: index + 1, name })),
    annotations,
  };
}
