"""The same four small images with their boxes, laid out as tools export them."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import yaml

SIDE = 32
CLASSES = ["cat", "dog"]
# Of each image its boxes: class, then x1, y1, x2, y2 in px from 0, the outer edges.
BOXES = {
    "a b": [("cat", 2, 4, 18, 20)],
    "ä": [("dog", 8, 8, 24, 28), ("cat", 0, 0, 10, 12)],
    "c": [("dog", 4, 2, 30, 22)],
    "d": [("cat", 6, 10, 26, 30), ("dog", 1, 1, 9, 9)],
}
TRAIN, VAL = ["a b", "ä", "c"], ["d"]
Write = Callable[[Path], None]


def write_image(path: Path) -> Path:
    """Noise that its name determines, so that no two look alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(sorted(BOXES).index(path.stem) if path.stem in BOXES else 99)
    picture = cv2.resize(random.integers(0, 255, (8, 8, 3), np.uint8), (SIDE, SIDE))
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def write_images(folder: Path, names: list[str]) -> None:
    """The images of some names."""
    for name in names:
        write_image(folder / f"{name}.png")


def write_coco(path: Path, names: list[str], prefix: str = "", root: bool = False) -> None:
    """A COCO json; `root` adds Roboflow's root category."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, name in enumerate(names, start=1):
        size = {"height": SIDE, "width": SIDE}
        images.append({"id": number, "file_name": f"{prefix}{name}.png", **size})
        for label, x1, y1, x2, y2 in BOXES[name]:
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            ids = {"id": len(annotations) + 1, "image_id": number}
            annotations.append({**ids, "category_id": CLASSES.index(label) + 1, **box})
    parent = "animals" if root else "none"
    categories = [
        {"id": i, "name": name, "supercategory": parent} for i, name in enumerate(CLASSES, start=1)
    ]
    if root:
        categories.insert(0, {"id": 0, "name": "animals", "supercategory": "none"})
    data = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(data))


def write_labels(folder: Path, names: list[str]) -> None:
    """YOLO's files of boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        lines = [
            f"{CLASSES.index(label)} {(x1 + x2) / 2 / SIDE} {(y1 + y2) / 2 / SIDE} "
            f"{(x2 - x1) / SIDE} {(y2 - y1) / SIDE}\n"
            for label, x1, y1, x2, y2 in BOXES[name]
        ]
        (folder / f"{name}.txt").write_text("".join(lines))


def write_xml(folder: Path, names: list[str]) -> None:
    """VOC's files of boxes, whose corners count from 1 and are part of the box."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
            f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
            for label, x1, y1, x2, y2 in BOXES[name]
        )
        size = f"<size><width>{SIDE}</width><height>{SIDE}</height></size>"
        text = f"<annotation><filename>{name}.png</filename>{size}{objects}</annotation>"
        (folder / f"{name}.xml").write_text(text, encoding="utf-8")


# --- COCO ---------------------------------------------------------------------------------------


def roboflow_coco(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("valid", VAL), ("test", ["c"])):
        write_images(folder / split, names)
        write_coco(folder / split / "_annotations.coco.json", names, root=True)


def coco_own(folder: Path) -> None:
    for split, names in (("train2017", TRAIN), ("val2017", VAL)):
        write_images(folder / split, names)
        write_coco(folder / "annotations" / f"instances_{split}.json", names)
        write_coco(folder / "annotations" / f"person_keypoints_{split}.json", names[:1])
    (folder / "annotations" / "captions_val2017.json").write_text("{}")


def cvat_coco(folder: Path) -> None:
    write_images(folder / "images" / "default", [*BOXES])
    write_coco(folder / "annotations" / "instances_default.json", [*BOXES])


def label_studio_coco(folder: Path) -> None:
    write_images(folder / "images", [*BOXES])
    write_coco(folder / "result.json", [*BOXES], prefix="../../label-studio/media/upload/3/")


def fiftyone_coco(folder: Path) -> None:
    write_images(folder / "data", [*BOXES])
    write_coco(folder / "labels.json", [*BOXES])


def one_json(folder: Path) -> None:
    write_images(folder, [*BOXES])
    write_coco(folder / "my boxes.json", [*BOXES])


# --- YOLO ---------------------------------------------------------------------------------------


def _write_yaml(file: Path, **values: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"names": CLASSES, "nc": len(CLASSES)} | values))


def roboflow_yolo(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("valid", VAL)):
        write_images(folder / split / "images", names)
        write_labels(folder / split / "labels", names)
    # As Roboflow writes it: one folder too high, and a test set that is not there.
    paths = {"train": "../train/images", "val": "../valid/images", "test": "../test/images"}
    _write_yaml(folder / "data.yaml", **paths)


def ultralytics_yolo(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("val", VAL)):
        write_images(folder / "images" / split, names)
        write_labels(folder / "labels" / split, names)
    names = {"names": dict(enumerate(CLASSES))}
    paths = {"path": "../datasets/animals", "train": "images/train", "val": "images/val"}
    _write_yaml(folder / "animals.yaml", **paths, **names)


def listed_yolo(folder: Path) -> None:
    write_images(folder / "images", [*BOXES])
    write_labels(folder / "labels", [*BOXES])
    for split, names in (("train", TRAIN), ("val", VAL)):
        lines = [f"/home/somebody/animals/images/{name}.png\n" for name in names]
        (folder / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    _write_yaml(folder / "data.yaml", path=".", train="train.txt", val="val.txt")


def cvat_yolo(folder: Path) -> None:
    write_images(folder / "obj_train_data", [*BOXES])
    write_labels(folder / "obj_train_data", [*BOXES])
    lines = [f"data/obj_train_data/{name}.png\n" for name in BOXES]
    (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "obj.names").write_text("".join(f"{name}\n" for name in CLASSES))
    (folder / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    )


def label_studio_yolo(folder: Path) -> None:
    write_images(folder / "images", [*BOXES])
    write_labels(folder / "labels", [*BOXES])
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    notes = {"categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)], "info": {}}
    (folder / "notes.json").write_text(json.dumps(notes))


# --- VOC ----------------------------------------------------------------------------------------


def _write_devkit(folder: Path, lists: dict[str, list[str]], images: list[str]) -> None:
    write_images(folder / "JPEGImages", images)
    write_xml(folder / "Annotations", images)
    main = folder / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for name, stems in lists.items():
        (main / f"{name}.txt").write_text("".join(f"{x}\n" for x in stems), encoding="utf-8")


def voc_devkit(folder: Path) -> None:
    lists = {"train": TRAIN, "val": VAL, "trainval": [*BOXES], "cat_train": ["a b  1", "ä  1"]}
    _write_devkit(folder / "VOCdevkit" / "VOC2012", lists, [*BOXES])


def voc_years(folder: Path) -> None:
    for year, names in (("VOC2007", ["a b", "ä"]), ("VOC2012", ["c", "d"])):
        _write_devkit(folder / year, {"trainval": names, "test": ["gone"]}, names)


def cvat_voc(folder: Path) -> None:
    names = [f'"{name}"' if " " in name else name for name in BOXES]
    _write_devkit(folder, {"default": names}, [*BOXES])


def roboflow_voc(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("valid", VAL)):
        write_images(folder / split, names)
        write_xml(folder / split, names)


def voc_apart(folder: Path) -> None:
    write_images(folder / "images", [*BOXES])
    write_xml(folder / "annotations", [*BOXES])


# --- labelme and tables -------------------------------------------------------------------------


def labelme(folder: Path) -> None:
    write_images(folder, [*BOXES])
    for name, boxes in BOXES.items():
        shapes = []
        for label, x1, y1, x2, y2 in boxes:
            shape = {"label": label, "group_id": None, "flags": {}}
            if label == "cat":
                shapes.append({**shape, "shape_type": "rectangle", "points": [[x2, y1], [x1, y2]]})
            else:  # a polygon whose box is this one
                points = [[x1, y1], [x2, (y1 + y2) / 2], [x1, y2]]
                shapes.append({**shape, "shape_type": "polygon", "points": points})
        shapes.append({"label": "cat", "shape_type": "point", "points": [[3, 3]]})
        data = {"version": "5.4", "shapes": shapes, "imagePath": f"..\\old\\{name}.png"}
        (folder / f"{name}.json").write_text(json.dumps(data | {"imageData": None}))


def _objects(name: str) -> dict[str, list]:
    boxes = [[x1, y1, x2 - x1, y2 - y1] for _, x1, y1, x2, y2 in BOXES[name]]
    return {"bbox": boxes, "categories": [CLASSES.index(label) for label, *_ in BOXES[name]]}


CARD = """---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: objects
    struct:
    - name: categories
      list:
        class_label:
          names:
            '0': cat
            '1': dog
---
# Animals
"""


def image_folder(folder: Path) -> None:
    (folder / "README.md").write_text(CARD)
    for split, names in (("train", TRAIN), ("validation", VAL)):
        write_images(folder / split, names)
        rows = [{"file_name": f"{name}.png", "objects": _objects(name)} for name in names]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / split / "metadata.jsonl").write_text(lines)


def open_images(folder: Path) -> None:
    (folder / "class-descriptions-boxable.csv").write_text("/m/01yrx,cat\n/m/0bt9lr,dog\n")
    for split, names in (("train", TRAIN), ("validation", VAL)):
        write_images(folder / split / "data", names)
        lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf"]
        for name in names:
            for label, *box in BOXES[name]:
                x1, y1, x2, y2 = (x / SIDE for x in box)
                mid = {"cat": "/m/01yrx", "dog": "/m/0bt9lr"}[label]
                lines.append(f"{name},xclick,{mid},1,{x1},{x2},{y1},{y2},0,0")
        file = folder / f"{split}-annotations-bbox.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def keras_csv(folder: Path) -> None:
    (folder / "classes.csv").write_text("cat,0\ndog,1\n")
    for split, names in (("train", TRAIN), ("val", VAL)):
        write_images(folder / "images", names)
        rows = [f"images/{x}.png,{','.join(map(str, b))},{a}" for x in names for a, *b in BOXES[x]]
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def header_csv(folder: Path) -> None:
    for split, names in (("train", TRAIN), ("val", VAL)):
        write_images(folder / "images", names)
        rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
        for name in names:
            for label, *box in BOXES[name]:
                rows.append(f"{name}.png,{SIDE},{SIDE},{label},{','.join(map(str, box))}")
        file = folder / f"{split}_labels.csv"
        file.write_text("\n".join(rows) + "\n", encoding="utf-8")


# Layout -> what writes it, and the images of train, val and test.
LAYOUTS: dict[str, tuple[Write, list[str], list[str] | None, list[str] | None]] = {
    "roboflow coco": (roboflow_coco, TRAIN, VAL, ["c"]),
    "coco": (coco_own, TRAIN, VAL, None),
    "cvat coco": (cvat_coco, [*BOXES], None, None),
    "label studio coco": (label_studio_coco, [*BOXES], None, None),
    "fiftyone coco": (fiftyone_coco, [*BOXES], None, None),
    "one json": (one_json, [*BOXES], None, None),
    "roboflow yolo": (roboflow_yolo, TRAIN, VAL, None),
    "ultralytics yolo": (ultralytics_yolo, TRAIN, VAL, None),
    "listed yolo": (listed_yolo, TRAIN, VAL, None),
    "cvat yolo": (cvat_yolo, [*BOXES], None, None),
    "label studio yolo": (label_studio_yolo, [*BOXES], None, None),
    "voc devkit": (voc_devkit, TRAIN, VAL, None),
    "voc years": (voc_years, [*BOXES], None, None),
    "cvat voc": (cvat_voc, [*BOXES], None, None),
    "roboflow voc": (roboflow_voc, TRAIN, VAL, None),
    "voc apart": (voc_apart, [*BOXES], None, None),
    "labelme": (labelme, [*BOXES], None, None),
    "image folder": (image_folder, TRAIN, VAL, None),
    "open images": (open_images, TRAIN, VAL, None),
    "keras csv": (keras_csv, TRAIN, VAL, None),
    "csv with a header": (header_csv, TRAIN, VAL, None),
}
