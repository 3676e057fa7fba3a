"""The fast COCO evaluator beside pycocotools and detectron2's evaluator."""

import contextlib
import io
import itertools
import json
import logging

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator
from detectron2.evaluation.coco_evaluation import COCOevalMaxDets
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils import comm
from pycocotools.coco import COCO

from fcos_d2.evaluation import coco, coco_boxes, coco_truth
from fcos_d2.evaluation.coco import FastCOCOEvaluator
from fcos_d2.evaluation.metrics import build_evaluator

NAME = "test_coco_dataset"
CLASSES = ["one", "two", "three", "absent"]
SIZE = (480, 640)


@pytest.fixture(autouse=True)
def forget_dataset():
    yield
    MetadataCatalog.pop(NAME, None)
    DatasetCatalog.pop(NAME, None)


def register(folder, images: list[list[dict]], class_names: list[str] = CLASSES) -> str:
    """Annotations of images 10, 20, ... as a COCO file with the category ids 3, 5, 7, ..."""
    annotations = []
    for index, boxes in enumerate(images):
        for box in boxes:
            added = {"id": len(annotations) + 1, "image_id": 10 * index + 10, "iscrowd": 0}
            annotations.append(added | {"area": box["bbox"][2] * box["bbox"][3]} | box)
    content = {
        "images": [
            {"id": 10 * i + 10, "height": SIZE[0], "width": SIZE[1]} for i in range(len(images))
        ],
        "categories": [{"id": 2 * i + 3, "name": name} for i, name in enumerate(class_names)],
        "annotations": annotations,
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    MetadataCatalog.get(NAME).set(
        json_file=str(path),
        thing_classes=class_names,
        thing_dataset_id_to_contiguous_id={2 * i + 3: i for i in range(len(class_names))},
    )
    return str(path)


def detected(boxes: list[list[float]], scores: list[float], classes: list[int]) -> Instances:
    instances = Instances(SIZE)
    instances.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.scores = torch.tensor(scores, dtype=torch.float32)
    instances.pred_classes = torch.tensor(classes, dtype=torch.int64)
    return instances


def draw(seed: int, num_images: int = 12) -> tuple[list[list[dict]], list[Instances]]:
    """Boxes with crowds, ties in score, images without truth, without detections, with too many.

    The last class has no boxes. Areas are not those of the boxes, as with masks.
    """
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for index in range(num_images):
        boxes, scores, classes, annotations = [], [], [], []
        for _ in range(rng.integers(1, 8) if index % 5 else 0):
            x, y = rng.uniform(0, 400, 2).tolist()
            w, h = np.exp(rng.uniform(1, 5.3, 2)).tolist()
            label = int(rng.integers(3))
            crowd = {"iscrowd": int(rng.random() < 0.15), "area": w * h * rng.uniform(0.5, 1)}
            annotations.append({"bbox": [x, y, w, h], "category_id": 2 * label + 3} | crowd)
            for _ in range(rng.integers(4)):
                boxes.append(np.array([x, y, x + w, y + h]) + rng.normal(0, 0.05 * (w + h), 4))
                scores.append(rng.integers(1, 10) / 10)
                classes.append(label)
        for _ in range(rng.integers(12) if index % 4 else 0):
            corner = rng.uniform(0, 400, 2)
            boxes.append([*corner, *(corner + rng.uniform(1, 200, 2))])
            scores.append(rng.random())
            classes.append(int(rng.integers(4)))
        if index == 1:
            boxes += [[0, 0, 5, 5]] * 150
            scores += rng.uniform(0.2, 1, 150).tolist()
            classes += [0] * 150
        truth.append(annotations)
        found.append(detected(np.array(boxes).tolist(), scores, classes))
    return truth, found


def evaluate(evaluator, found: list[Instances], img_ids: list[int] | None = None) -> dict:
    evaluator.reset()
    for index, instances in enumerate(found):
        evaluator.process([{"image_id": 10 * index + 10}], [{"instances": instances}])
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluator.evaluate(img_ids)


def detectron2_evaluator(folder=None, **options) -> COCOEvaluator:
    return COCOEvaluator(NAME, output_dir=folder, use_fast_impl=False, **options)


def test_two_boxes_by_hand(tmp_path):
    """Scores 0.9: right; 0.8: nowhere; 0.7: IoU 62 / 100 with the second box.

    Up to IoU 0.6 (3 thresholds of 10) both boxes are found: precision 1 up to recall 0.5, which
    are 51 of the 101 points, then 2/3. Above, recall ends at 0.5.
    """
    boxes = [[10, 10, 50, 50], [100, 10, 100, 100]]  # 2500 px2 is medium, 10000 is large
    register(tmp_path, [[{"bbox": b, "category_id": 3} for b in boxes]], ["thing"])
    found = detected(
        [[10, 10, 60, 60], [300, 300, 350, 350], [100, 10, 200, 72]], [0.9, 0.8, 0.7], [0, 0, 0]
    )
    low, high = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert evaluate(FastCOCOEvaluator(NAME), [found])["bbox"] == {
        "AP": pytest.approx(100 * (3 * low + 7 * high) / 10),
        "AP50": pytest.approx(100 * low),
        "AP75": pytest.approx(100 * high),
        "APs": pytest.approx(float("nan"), nan_ok=True),
        "APm": pytest.approx(100),
        # The box anywhere is medium and does not count here; the one found is of 6200 px2, also
        # medium, but its match is large: it counts.
        "APl": pytest.approx(100 * 3 / 10),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"max_dets_per_image": 300}, {"max_dets_per_image": 4}])
def test_results_are_those_of_detectron2(tmp_path, seed, options):
    truth, found = draw(seed)
    register(tmp_path, truth)
    ours = evaluate(FastCOCOEvaluator(NAME, **options), found)
    theirs = evaluate(detectron2_evaluator(**options), found)
    assert list(ours) == list(theirs) == ["bbox"]
    assert list(ours["bbox"]) == list(theirs["bbox"])
    assert np.isnan(ours["bbox"]["AP-absent"])
    assert ours["bbox"]["AP"] > 2
    assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-9, nan_ok=True)


def test_limit_of_detections_counts(tmp_path):
    truth, found = draw(0)
    register(tmp_path, truth)
    limited = [
        evaluate(FastCOCOEvaluator(NAME, max_dets_per_image=limit), found)["bbox"]["AP"]
        for limit in (20, 100, 300)
    ]
    assert len(set(limited)) == 3


def test_box_with_the_id_0_counts(tmp_path):
    """pycocotools takes the 0 of a match for no match, and calls the detection false."""
    register(tmp_path, [[{"bbox": [0, 0, 50, 50], "category_id": 3, "id": 0}]])
    found = [detected([[0, 0, 50, 50]], [0.5], [0])]
    assert evaluate(FastCOCOEvaluator(NAME), found)["bbox"]["AP"] == pytest.approx(100)
    assert evaluate(detectron2_evaluator(), found)["bbox"]["AP"] == 0


def test_results_of_some_images(tmp_path):
    truth, found = draw(5)
    register(tmp_path, truth)
    some = [20, 30, 60, 100]
    ours = evaluate(FastCOCOEvaluator(NAME), found, some)["bbox"]
    theirs = evaluate(detectron2_evaluator(), found, some)["bbox"]
    assert ours == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    assert ours["AP"] != evaluate(FastCOCOEvaluator(NAME), found)["bbox"]["AP"]


@pytest.mark.parametrize("limits", [[1, 10, 100], [1, 3, 10]])
@pytest.mark.parametrize("seed", [7, 8])
def test_all_twelve_numbers(tmp_path, seed, limits):
    """Of pycocotools, whose -1 is our NaN."""
    truth, found = draw(seed, num_images=20)
    json_file = register(tmp_path, truth)
    predictions = [(10 * i + 10, coco_boxes.box_rows(x)) for i, x in enumerate(found)]
    rows = coco_boxes.to_dataset_ids(
        coco_boxes.stack_rows(predictions), {i: 2 * i + 3 for i in range(4)}, {}
    )
    with contextlib.redirect_stdout(io.StringIO()):
        peer_truth = COCO(json_file)
        peer = COCOevalMaxDets(peer_truth, peer_truth.loadRes(rows), "bbox")
        peer.params.maxDets = limits
        peer.evaluate()
        peer.accumulate()
        peer.summarize()
    curves = coco.match_boxes(coco_truth.load_truth(json_file).coco, rows, limits, None)
    ours = list(coco_boxes.coco_statistics(*curves).values())
    expected = np.where(peer.stats < 0, np.nan, 100 * peer.stats)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


def test_detections_are_written_as_detectron2_does(tmp_path, monkeypatch):
    """With every float32 as it was; in blocks."""
    monkeypatch.setattr(coco_boxes, "ROWS_PER_WRITE", 10)
    truth, found = draw(3)
    register(tmp_path, truth)
    written = []
    for evaluator in (
        FastCOCOEvaluator(NAME, output_dir=str(tmp_path / "ours")),
        detectron2_evaluator(str(tmp_path / "theirs")),
    ):
        evaluate(evaluator, found)
        path = f"{evaluator._output_dir}/coco_instances_results.json"
        with open(path) as file:
            written.append(json.load(file))
    ours, theirs = written
    assert len(ours) == len(theirs) > 50
    for mine, peer in zip(ours, theirs, strict=True):
        assert list(mine) == list(peer)
        assert (mine["image_id"], mine["category_id"]) == (peer["image_id"], peer["category_id"])
        numbers = [np.float32([*x["bbox"], x["score"]]) for x in (mine, peer)]
        np.testing.assert_array_equal(*numbers)


def test_half_precision_keeps_the_class(tmp_path):
    """bfloat16 has no 1001: its neighbours are 1000 and 1008."""
    instances = detected([[8, 16, 24, 48]], [0.5], [1001])
    instances.pred_boxes.tensor = instances.pred_boxes.tensor.bfloat16()
    instances.scores = instances.scores.bfloat16()
    assert coco_boxes.box_rows(instances).tolist() == [[8, 16, 16, 32, 0.5, 1001]]


def test_nothing_detected_and_nothing_evaluated(tmp_path):
    truth, _ = draw(0)
    register(tmp_path, truth)
    empty = [detected([], [], []) for _ in truth]
    ours = evaluate(FastCOCOEvaluator(NAME), empty)
    theirs = evaluate(detectron2_evaluator(), empty)
    assert list(ours["bbox"]) == list(theirs["bbox"])
    assert np.isnan(list(ours["bbox"].values())).all()
    assert evaluate(FastCOCOEvaluator(NAME), []) == evaluate(detectron2_evaluator(), []) == {}


@pytest.mark.parametrize("kind", ["empty", "absent", "crowds"])
def test_a_set_without_boxes_says_so(tmp_path, caplog, kind):
    """There is no AP, not one of NaN; what was detected is written all the same."""
    _, found = draw(1)
    path = tmp_path / "annotations.json"
    crowd = {"bbox": [1, 1, 9, 9], "category_id": 3, "iscrowd": 1}
    register(tmp_path, [[crowd] if kind == "crowds" else [] for _ in found])
    if kind == "absent":
        content = json.loads(path.read_text())
        del content["annotations"]
        path.write_text(json.dumps(content))
    evaluator = FastCOCOEvaluator(NAME, output_dir=str(tmp_path))
    assert evaluate(evaluator, found) == evaluate(evaluator, found) == {}
    assert (tmp_path / "coco_instances_results.json").stat().st_size > 1000
    assert caplog.text.count("annotations.json: there are no boxes to find") == 1


def test_a_set_without_boxes_says_so_where_pycocotools_counts(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(coco, "hotcoco", None)
    _, found = draw(1)
    register(tmp_path, [[] for _ in found])
    assert evaluate(FastCOCOEvaluator(NAME), found) == {}
    assert "annotations.json: there are no boxes to find" in caplog.text


def with_masks(truth: list[list[dict]], found: list[Instances]) -> None:
    """Adds the boxes as masks, to both."""
    for annotation in itertools.chain.from_iterable(truth):
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        annotation["iscrowd"] = 0
    for instances in found:
        masks = torch.zeros(len(instances), *SIZE, dtype=torch.bool)
        for mask, (x0, y0, x1, y1) in zip(masks, instances.pred_boxes.tensor.int(), strict=True):
            mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
        instances.pred_masks = masks


def test_masks_go_to_detectron2(tmp_path):
    truth, found = draw(2, num_images=4)
    found = [instances[:20] for instances in found]
    with_masks(truth, found)
    register(tmp_path, truth)
    theirs = evaluate(detectron2_evaluator(), found)
    ours = evaluate(FastCOCOEvaluator(NAME), found)
    assert list(theirs) == list(ours) == ["bbox", "segm"]
    assert ours["segm"]["AP50"] > 2
    for task in theirs:
        assert ours[task] == pytest.approx(theirs[task], abs=1e-9, nan_ok=True)
    only_masks = evaluate(FastCOCOEvaluator(NAME, ("segm",)), found)
    assert list(only_masks) == ["segm"]
    only_boxes = FastCOCOEvaluator(NAME, ("bbox",))
    assert list(evaluate(only_boxes, found)) == ["bbox"]
    assert only_boxes._detectron2 is None


def test_masks_after_boxes_alone(tmp_path):
    truth, found = draw(2, num_images=4)
    register(tmp_path, truth)
    found[3].pred_masks = torch.zeros(len(found[3]), *SIZE, dtype=torch.bool)
    with pytest.raises(ValueError, match="image 40 has masks, .* boxes alone"):
        evaluate(FastCOCOEvaluator(NAME), found)


def test_without_hotcoco(tmp_path, monkeypatch, caplog):
    truth, found = draw(4)
    register(tmp_path, truth)
    fast = evaluate(FastCOCOEvaluator(NAME), found)["bbox"]
    monkeypatch.setattr(coco_truth, "hotcoco", None)
    with caplog.at_level(logging.WARNING, "fcos_d2"):
        slow = evaluate(FastCOCOEvaluator(NAME), found)["bbox"]
    # Another test may have switched on what is said below a warning.
    records = [x for x in caplog.records if x.levelno >= logging.WARNING]
    assert [x.getMessage() for x in records if x.name.startswith("fcos_d2")] == [
        "the COCO metric runs on pycocotools, slowly; for the same numbers fast: "
        "pip install hotcoco"
    ]
    assert fast == pytest.approx(slow, abs=1e-9, nan_ok=True)


def test_a_file_that_hotcoco_cannot_read(tmp_path, caplog):
    path = register(tmp_path, [[{"bbox": [0, 0, 9, 9], "category_id": 3}]])
    content = json.loads((tmp_path / "annotations.json").read_text())
    content["annotations"][0]["area"] = "81"
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING, "fcos_d2"):
        evaluator = FastCOCOEvaluator(NAME)
    assert f"runs on pycocotools, slowly; {path}: " in caplog.text
    assert evaluator._detectron2 is not None


IDS = {
    "beyond 2**53": [2**53 + 1 + i for i in range(12)],
    "beyond 2**63": [2**63 + 1 + i for i in range(12)],
    "texts": [f"0000001_{i:05d}_d" for i in range(12)],
    "texts of equal numbers": ["1", "01", "001", *(f"{i}" for i in range(2, 11))],
    "numbers and texts": [1, "1", *range(2, 12)],
    "negative": [*range(-6, 6)],
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("section", ["images", "categories"])
def test_ids_that_no_float_holds(tmp_path, caplog, kind, section):
    """Of a registered dataset: the numbers, and the ids in the results, are those of plain ids."""
    truth, found = draw(3)
    path = register(tmp_path, truth)
    plain = evaluate(FastCOCOEvaluator(NAME, output_dir=str(tmp_path / "plain")), found)["bbox"]
    content = json.loads((tmp_path / "annotations.json").read_text())
    field = {"images": "image_id", "categories": "category_id"}[section]
    other = dict(zip((x["id"] for x in content[section]), IDS[kind], strict=False))
    for entry in content[section]:
        entry["id"] = other[entry["id"]]
    for annotation in content["annotations"]:
        annotation[field] = other[annotation[field]]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    if section == "categories":
        class_of_id = {other[x]: i for i, x in enumerate(list(other))}
        MetadataCatalog.pop(NAME)
        MetadataCatalog.get(NAME).set(
            json_file=path, thing_classes=CLASSES, thing_dataset_id_to_contiguous_id=class_of_id
        )
    with caplog.at_level(logging.WARNING, "fcos_d2"):
        evaluator = FastCOCOEvaluator(NAME, output_dir=str(tmp_path / "other"))
    assert "pycocotools" not in caplog.text
    for index, instances in enumerate(found):
        image_id = 10 * index + 10
        image_id = other[image_id] if section == "images" else image_id
        evaluator.process([{"image_id": image_id}], [{"instances": instances}])
    assert plain["AP"] > 2
    assert evaluator.evaluate()["bbox"] == pytest.approx(plain, abs=1e-9, nan_ok=True)
    rows = [
        json.loads((tmp_path / name / "coco_instances_results.json").read_text())
        for name in ("plain", "other")
    ]
    assert [row[field] for row in rows[1]] == [other[row[field]] for row in rows[0]]
    assert [type(row[field]) for row in rows[1]] == [type(other[row[field]]) for row in rows[0]]


def test_text_id_of_another_dataset(tmp_path):
    register(tmp_path, draw(0)[0])
    found = [{"instances": detected([[0, 0, 9, 9]], [1], [0])}]
    with pytest.raises(ValueError, match="annotations.json has no image 010"):
        FastCOCOEvaluator(NAME).process([{"image_id": "010"}], found)


def test_masks_get_the_ids_of_the_users_file(tmp_path):
    truth, found = draw(2, num_images=4)
    with_masks(truth, found := [x[:20] for x in found])
    register(tmp_path, truth)
    names = {"image": {10: "a", 20: "01", 30: "1"}, "category": {3: "x"}}
    MetadataCatalog.get(NAME).set(
        source_image_ids=names["image"], source_category_ids=names["category"]
    )
    evaluate(FastCOCOEvaluator(NAME, output_dir=str(tmp_path)), found)
    rows = json.loads((tmp_path / "coco_instances_results.json").read_text())
    assert {row["image_id"] for row in rows} == {"01", "1", 40}, "the first has none"
    assert {row["category_id"] for row in rows} == {"x", 5, 7, 9}


def test_dataset_in_detectron2s_format(tmp_path):
    """Is written in COCO's format first; the evaluator of the trainers."""
    box = {"bbox": [10, 20, 60, 90], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 1}
    record = {"image_id": 10, "height": SIZE[0], "width": SIZE[1], "file_name": "a.jpg"}
    DatasetCatalog.register(NAME, lambda: [record | {"annotations": [box]}])
    MetadataCatalog.get(NAME).set(thing_classes=["one", "two"])
    with pytest.raises(ValueError, match=f"{NAME} has no json_file .* give an output_dir"):
        FastCOCOEvaluator(NAME)
    evaluator = build_evaluator(NAME, str(tmp_path))
    results = evaluate(evaluator, [detected([[10, 20, 60, 90]], [0.5], [1])])["bbox"]
    assert results["AP"] == results["AP-two"] == pytest.approx(100)
    assert np.isnan(results["AP-one"])


@pytest.mark.parametrize(
    ("box", "score", "label", "message"),
    [
        ([0, 0, 9, 9], 0.5, 4, "image 10 has a detection of class 4, but .* 4 classes"),
        ([0, 0, 9, 9], 0.5, -1, "image 10 has a detection of class -1"),
        ([0, 0, 9, 9], float("nan"), 0, "image 10 .*score nan; the model has diverged"),
        ([0, 0, float("inf"), 9], 0.5, 0, r"box \(xywh\) \[0.0, 0.0, inf, 9.0\]"),
    ],
)
def test_detections_that_are_wrong(tmp_path, box, score, label, message):
    register(tmp_path, draw(0)[0])
    with pytest.raises(ValueError, match=message):
        evaluate(FastCOCOEvaluator(NAME), [detected([box], [score], [label])])


def test_image_of_another_dataset(tmp_path):
    register(tmp_path, draw(0)[0])
    evaluator = FastCOCOEvaluator(NAME)
    evaluator.process([{"image_id": 11}], [{"instances": detected([[0, 0, 9, 9]], [1], [0])}])
    with pytest.raises(ValueError, match="annotations.json has no image 11"):
        evaluator.evaluate()


def test_as_many_names_as_categories(tmp_path):
    register(tmp_path, draw(0)[0])
    MetadataCatalog.pop(NAME)
    MetadataCatalog.get(NAME).set(
        json_file=str(tmp_path / "annotations.json"), thing_classes=CLASSES[:3]
    )
    with pytest.raises(ValueError, match="metadata names 3 classes, its annotations 4"):
        evaluate(FastCOCOEvaluator(NAME), [detected([[0, 0, 9, 9]], [1], [3])])


def test_two_processes_count_as_one(tmp_path, monkeypatch):
    """The second has every other image; what it sends reaches the first in order of the ranks."""
    truth, found = draw(6)
    register(tmp_path, truth)
    alone = evaluate(FastCOCOEvaluator(NAME, distributed=False), found)
    ranks, sent = [FastCOCOEvaluator(NAME) for _ in range(2)], []
    for index, instances in enumerate(found):
        ranks[index % 2].process([{"image_id": 10 * index + 10}], [{"instances": instances}])
    monkeypatch.setattr(comm, "gather", lambda data, dst: sent.append(data) or sent[::-1])
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert ranks[1].evaluate() == {}
    monkeypatch.setattr(comm, "is_main_process", lambda: True)
    together = ranks[0].evaluate()["bbox"]
    assert together == pytest.approx(alone["bbox"], abs=1e-9, nan_ok=True)
    assert [images for images, _ in sent] == [6, 6]


def test_process_without_images_follows_the_others(tmp_path, monkeypatch):
    """It joins what detectron2's evaluator gathers where the others have masks."""
    truth, _found = draw(2, num_images=4)
    register(tmp_path, truth)
    evaluator = FastCOCOEvaluator(NAME)
    evaluator.reset()
    monkeypatch.setattr(comm, "all_gather", lambda mine: [True, mine])
    gathered = []
    monkeypatch.setattr(comm, "gather", lambda data, dst: gathered.append(data) or [data])
    assert evaluator.evaluate() == {}
    assert gathered == [[]]  # detectron2's list of predictions


def test_more_objects_than_the_metric_counts(tmp_path, caplog):
    """200 perfect boxes of one class: with COCO's limit recall ends at 0.5, which are 51 of the
    101 points. The warning comes once.
    """
    corners = [(30 * (i % 20), 40 * (i // 20)) for i in range(200)]
    register(tmp_path, [[{"bbox": [x, y, 20, 20], "category_id": 3} for x, y in corners]], ["a"])
    found = [detected([[x, y, x + 20, y + 20] for x, y in corners], [0.9] * 200, [0] * 200)]

    def ap(**limits) -> float:
        return evaluate(build_evaluator(NAME, str(tmp_path), **limits), found)["bbox"]["AP"]

    with caplog.at_level(logging.WARNING, "fcos_d2"):
        assert ap(model_limit=150) == pytest.approx(100 * 51 / 101)
        assert ap(model_limit=150) == pytest.approx(100 * 51 / 101)
    (record,) = caplog.records
    assert "1 images have up to 200 objects of a class, and the metric counts the best 100 det" in (
        record.getMessage()
    )
    assert "`max_dets_per_image` raises that" in record.getMessage()
    assert (
        "up to 200 objects, and the model returns at most 150; `max_detections`"
        in record.getMessage()
    )
    caplog.clear()
    with caplog.at_level(logging.WARNING, "fcos_d2"):
        assert ap(max_dets_per_image=200, model_limit=200) == pytest.approx(100)
        assert ap(max_dets_per_image=300) == pytest.approx(100)
    assert caplog.records == []
    with pytest.raises(ValueError, match="`max_dets_per_image` must be at least 1, got 0"):
        ap(max_dets_per_image=0)


def test_as_many_objects_as_the_limits_and_crowds_need_no_word(tmp_path, caplog):
    boxes = [{"bbox": [i, 0, 5, 5], "category_id": 3} for i in range(100)]
    crowds = [{"bbox": [i, 9, 5, 5], "category_id": 3, "iscrowd": 1} for i in range(50)]
    register(tmp_path, [boxes + crowds])
    with caplog.at_level(logging.WARNING, "fcos_d2"):
        evaluator = FastCOCOEvaluator(NAME, model_limit=100)
        evaluate(evaluator, [detected([[0, 0, 5, 5]], [0.9], [0])])
    assert caplog.records == []


def test_ids_of_classes_are_known_when_the_dataset_is_loaded(tmp_path):
    """Which may be after the evaluator was made."""
    truth, found = draw(4)
    register(tmp_path, truth)
    expected = evaluate(FastCOCOEvaluator(NAME), found)["bbox"]
    metadata = MetadataCatalog.get(NAME)
    class_of_id = metadata.thing_dataset_id_to_contiguous_id
    del metadata.thing_dataset_id_to_contiguous_id
    evaluator = FastCOCOEvaluator(NAME)
    metadata.thing_dataset_id_to_contiguous_id = class_of_id
    assert evaluate(evaluator, found)["bbox"] == pytest.approx(expected, nan_ok=True)
