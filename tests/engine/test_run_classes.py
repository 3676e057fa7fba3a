"""Whole runs on data whose classes are not those of the checkpoint."""

import copy
import json
import re
import shutil

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from random_detector import confident
from tiny_run import TINY_MODEL, train_request

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.engine import Trainer, run
from fcos_d2.evaluation.classes import EvaluatorByName

SHAPES = ["circle", "square", "triangle", "star", "ring"]
SETTINGS = TINY_MODEL | {"MODEL.WEIGHTS": ""}
# The same model and input of the python config.
LAZY = [
    "train.device=cpu",
    "dataloader.test.num_workers=0",
    "dataloader.test.mapper.augmentations.0.short_edge_length=64",
    "model.backbone.out_channels=32",
    "model.proposal_generator.head.in_channels=32",
    "model.proposal_generator.head.num_cls_convs=1",
    "model.proposal_generator.head.num_box_convs=1",
]


def options(settings):
    return [str(word) for item in settings.items() for word in item]


def start(output, *flags, **settings):
    settings = SETTINGS | {"OUTPUT_DIR": output} | settings
    command = ["--config-file", "Recipes/R18-Scratch", *map(str, flags), *options(settings)]
    return run(train_request(command))


def start_lazy(output, *flags_and_overrides):
    command = ["--config-file", "lazy/Recipes/R18-Scratch", *map(str, flags_and_overrides)]
    return run(train_request([*command, f"train.output_dir={output}", *LAZY]))


@pytest.fixture(scope="module")
def bug_inputs(shared_dir):
    return shared_dir / "data" / "bug_inputs"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained detector of five shapes that finds a lot."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    cfg = model_zoo.get_config("Recipes/R18-Scratch", options(SETTINGS))
    cfg.MODEL.FCOS.NUM_CLASSES = 5
    model = confident(Trainer.build_model(cfg))
    FCOSCheckpointer(model, str(folder), class_names=SHAPES).save("model")
    return folder / "model.pth"


@pytest.fixture(scope="module")
def truth(bug_inputs, weights, tmp_path_factory):
    """Three pictures with what the detector finds, under two numberings of the categories."""
    folder, images = tmp_path_factory.mktemp("truth"), []
    opts = [*options(SETTINGS), "MODEL.FCOS.NUM_CLASSES", "5"]
    predictor = Predictor("Recipes/R18-Scratch", str(weights), opts=opts)
    objects = []
    for i in (1, 2, 3):
        path = bug_inputs / "06-eval-category-order" / "images" / f"00000{i}.jpg"
        shutil.copy(path, folder)
        images.append({"id": i, "file_name": path.name, "height": 192, "width": 192})
        found = predictor(path)
        for (x, y, x1, y1), label in zip(
            found.pred_boxes.tensor.tolist(), found.pred_classes.tolist(), strict=True
        ):
            objects.append((i, [x, y, x1 - x, y1 - y], predictor.class_names[label]))
    assert len({name for *_, name in objects}) == 5
    for file, order in (("same", SHAPES), ("renumbered", [*SHAPES[1:], SHAPES[0]])):
        annotations = [
            {"id": n, "image_id": i, "bbox": box, "category_id": order.index(name) + 1}
            for n, (i, box, name) in enumerate(objects, start=1)
        ]
        categories = [{"id": i, "name": name} for i, name in enumerate(order, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{file}.json").write_text(json.dumps(content))
    return folder


def test_evaluation_does_not_depend_on_the_numbers_of_the_categories(truth, weights, tmp_path):
    """All that the detector finds is there, so AP is 100 for either numbering."""
    aps = {}
    for file in ("same", "renumbered"):
        flags = ["--eval-only", "--val-data", truth / f"{file}.json", "--val-images", truth]
        results = start(tmp_path / file, *flags, **{"MODEL.WEIGHTS": weights})
        aps[file] = results["bbox"]["AP"]
    results = start_lazy(tmp_path / "lazy", *flags, f"train.init_checkpoint={weights}")
    aps["lazy"] = results["bbox"]["AP"]
    assert aps == pytest.approx(dict.fromkeys(("same", "renumbered", "lazy"), 100), abs=0.5)


def test_a_set_that_lacks_a_class_leaves_the_classifier(bug_inputs, weights, tmp_path):
    """VOC files without "ring", and what the config says of classes does not matter, either."""
    flags = ["--eval-only", "--val-data", bug_inputs / "07-eval-class-missing"]
    results = start(tmp_path, *flags, **{"MODEL.WEIGHTS": weights})
    names = ("circle", "square", "star", "triangle")
    assert {key for key in results["bbox"] if "-" in key} == {f"AP-{name}" for name in names}
    assert results["bbox"]["AP"] == results["bbox"]["AP"] >= 0  # not NaN
    assert "NUM_CLASSES: 5" in (tmp_path / "config.yaml").read_text()


def nameless(weights, folder):
    """The same weights without the names of their classes, as AdelaiDet's files."""
    folder.mkdir(exist_ok=True)
    torch.save({"model": torch.load(weights)["model"]}, folder / "nameless.pth")
    return folder / "nameless.pth"


@pytest.mark.parametrize("lazy", [False, True])
def test_a_model_with_untrained_parts_is_not_evaluated(bug_inputs, weights, tmp_path, lazy):
    """Five classes in the file, four in the data, and no names to tell which."""
    flags = ["--eval-only", "--val-data", bug_inputs / "07-eval-class-missing"]
    path = nameless(weights, tmp_path / "in")
    message = r"nameless.pth: 2 parts .* not in it: .*cls_logits.weight \(\(5, .*, \(4, "
    with pytest.raises(ValueError, match=message):
        if lazy:
            start_lazy(tmp_path, *flags, f"train.init_checkpoint={path}")
        else:
            start(tmp_path, *flags, **{"MODEL.WEIGHTS": path})


def test_nothing_at_all_is_not_evaluated(bug_inputs, tmp_path):
    flags = ["--eval-only", "--val-data", bug_inputs / "07-eval-class-missing"]
    with pytest.raises(ValueError, match="--eval-only needs the checkpoint of a trained detector"):
        start(tmp_path, *flags)


def test_another_class_count_is_refused(bug_inputs, weights, tmp_path):
    flags = ["--eval-only", "--val-data", bug_inputs / "07-eval-class-missing"]
    settings = {"MODEL.WEIGHTS": weights, "MODEL.FCOS.NUM_CLASSES": 4}
    with pytest.raises(ValueError, match="NUM_CLASSES is given as 4, but the checkpoint has 5"):
        start(tmp_path, *flags, **settings)


def test_boxes_of_an_unknown_class_are_named(bug_inputs, weights, tmp_path):
    data = bug_inputs / "20-resume-other-classes"
    flags = ["--eval-only", "--val-data", data / "two.json", "--val-images", data / "images"]
    with pytest.raises(ValueError, match="two.json has boxes of .*: cat, dog; its classes are cir"):
        start(tmp_path, *flags, **{"MODEL.WEIGHTS": weights})


def test_resuming_with_other_classes_or_another_optimiser(bug_inputs, tmp_path):
    """Both are named; what the message says to do instead keeps the classes by name."""
    folder = bug_inputs / "20-resume-other-classes"
    data = {
        n: ["--train-data", folder / f"{n}.json", "--train-images", folder / "images"]
        for n in ("two", "three")
    }
    out, settings = tmp_path / "out", {"SOLVER.MAX_ITER": 1, "SOLVER.OPTIMIZER": "SGD"}
    start(out, *data["two"], **settings)
    path = out / "model_final.pth"
    settings["SOLVER.MAX_ITER"] = 2
    with pytest.raises(ValueError, match=f"{path}: --resume cannot .*was SGD, now it is AdamW"):
        start(out, *data["two"], "--resume", **settings | {"SOLVER.OPTIMIZER": "AdamW"})
    with pytest.raises(ValueError, match=r"classes of the data have changed \(new: bird\)") as e:
        start(out, *data["three"], "--resume", **settings)
    opts = re.search(r"ending in (MODEL.WEIGHTS \S+) (OUTPUT_DIR \S+)", str(e.value)).groups()
    weights, anew = (opt.split()[1] for opt in opts)
    start(anew, *data["three"], **settings | {"MODEL.WEIGHTS": weights, "SOLVER.BASE_LR": 1e-9})
    key = "proposal_generator.fcos_head.cls_logits.bias"
    before = torch.load(path)["model"][key]
    after = torch.load(f"{anew}/model_final.pth")["model"][key]
    torch.testing.assert_close(after[:2], before, rtol=0, atol=1e-6)
    assert len(after) == 3
    log = (tmp_path / "out-anew" / "log.txt").read_text()
    assert "classes by name, 2 from the file: cat, dog; new: bird" in log


@pytest.fixture
def orders(bug_inputs):
    """Registered sets: one of cat and dog to learn, and one of dog and cat to test on."""
    folder = bug_inputs / "20-resume-other-classes"
    names = ["test_order_train", "test_order_val"]
    records = load_coco_json(str(folder / "two.json"), str(folder / "images"))
    for name, order in zip(names, (["cat", "dog"], ["dog", "cat"]), strict=True):
        own = copy.deepcopy(records)
        for annotation in (a for record in own for a in record["annotations"]):
            annotation["category_id"] = order.index(["cat", "dog"][annotation["category_id"] - 1])
        DatasetCatalog.register(name, lambda own=own: own)
        MetadataCatalog.get(name).thing_classes = order
    yield names
    for name in names:
        DatasetCatalog.pop(name)
        MetadataCatalog.pop(name)


@pytest.mark.parametrize("kind", ["yaml", "lazy"])
def test_evaluation_in_training_matches_names(orders, tmp_path, monkeypatch, kind):
    """The classes of the training data, 0 and 1, are 1 and 0 of the other set."""
    process, seen = EvaluatorByName.process, []

    def spy(self, inputs, outputs):
        seen.append(self._indices.tolist())
        process(self, inputs, outputs)

    monkeypatch.setattr(EvaluatorByName, "process", spy)
    train, test = orders
    if kind == "yaml":
        sets = {"DATASETS.TRAIN": (train,), "DATASETS.TEST": (test,)}
        start(tmp_path, **sets, **{"MODEL.FCOS.NUM_CLASSES": 2, "SOLVER.MAX_ITER": 1})
    else:
        start_lazy(
            tmp_path,
            *(f"dataloader.train.{x}" for x in ("num_workers=0", "total_batch_size=2")),
            *(f"dataloader.train.dataset.names={train}", f"dataloader.test.dataset.names={test}"),
            *("model.proposal_generator.head.num_classes=2", "train.max_iter=1"),
            "train.init_checkpoint=",
        )
    assert seen == [[1, 0]] * 4


def test_a_set_without_boxes_says_so(bug_inputs, weights, tmp_path):
    folder = bug_inputs / "35-val-without-boxes"
    images = bug_inputs / "06-eval-category-order" / "images"
    settings = {"MODEL.WEIGHTS": weights}
    for file, place in (("shapes_no_boxes", images), ("val", folder / "images")):
        flags = ["--eval-only", "--val-data", folder / f"{file}.json", "--val-images", place]
        assert start(tmp_path / file, *flags, **settings) == {}
        log = (tmp_path / file / "log.txt").read_text()
        assert log.count(f"{file}.json: there are no boxes to find") == 1
    flags[2] = folder / "test_info.json"
    with pytest.raises(ValueError, match="test_info.json: .*'annotations'"):
        start(tmp_path, *flags, **settings)
