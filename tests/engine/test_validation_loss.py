"""The losses on a test set, against those that training logs for the same images."""

import math
from types import SimpleNamespace

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode, Instances
from detectron2.utils import comm
from stand_ins import TinyBackbone, three_class_detector
from torch import nn

from fcos_d2.engine import validation_loss
from fcos_d2.engine.validation_loss import ORDER, ValidationLoss, check_has_losses
from fcos_d2.modeling.normalizers import LOSS_NORMALIZERS

SIZE = (64, 96)
NAME = "validation_loss"
CLASSES = ["one", "two", "three"]


def record(number, boxes, **more):
    rows = [
        {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": i % 3, "iscrowd": 0} | more
        for i, box in enumerate(boxes)
    ]
    return {
        "file_name": f"{number}.png",
        "image_id": number,
        **dict(zip(("height", "width"), SIZE, strict=True)),
        "annotations": rows,
    }


# Of unequal numbers of boxes, the third without any.
RECORDS = [
    record(0, [[5.0, 5.0, 35.0, 45.0], [20.0, 10.0, 90.0, 60.0], [2.0, 3.0, 20.0, 30.0]]),
    record(1, [[30.0, 20.0, 60.0, 50.0]]),
    record(2, []),
    record(3, [[10.0, 30.0, 50.0, 62.0], [60.0, 4.0, 90.0, 33.0]]),
    record(4, [[40.0, 10.0, 70.0, 60.0]]),
]


def mapper(entry):
    generator = torch.Generator().manual_seed(entry["image_id"])
    image = torch.randint(0, 256, (3, *SIZE), generator=generator, dtype=torch.uint8)
    return {"image": image, **{key: entry[key] for key in ("file_name", "height", "width")}}


def run_of(batch_size, records=RECORDS, batches=2, crowd_boxes=False):
    """What ValidationLoss asks of a run; the loader has batches of two."""

    def loader(name, with_truth):
        entries = [with_truth(x) for x in records]
        return [entries[i : i + batches] for i in range(0, len(entries), batches)]

    return SimpleNamespace(
        training=lambda: SimpleNamespace(total_batch_size=batch_size),
        build_test_mapper=lambda: mapper,
        build_train_mapper=lambda: SimpleNamespace(use_crowd_boxes=crowd_boxes),
        build_test_loader=loader,
    )


@pytest.fixture(autouse=True)
def catalogue():
    DatasetCatalog.register(NAME, lambda: RECORDS)
    MetadataCatalog.get(NAME).thing_classes = CLASSES
    yield
    DatasetCatalog.remove(NAME)
    MetadataCatalog.remove(NAME)


class NormedBackbone(TinyBackbone):
    """Gives something else in training."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, images):
        return super().forward(self.norm(images))


def detector(**options):
    return three_class_detector(NormedBackbone(), {}, **options).train()


def losses_of_training(model, records):
    """Those of one batch, with norms as in evaluation."""
    entries = [validation_loss.WithTruth(mapper, [0, 1, 2])(x) for x in records]
    model.backbone.norm.eval()
    with torch.no_grad():
        losses = model(entries)
    model.backbone.norm.train()
    return {name: loss.item() for name, loss in losses.items()}


KINDS = [{"loss_normalizer": kind} for kind in LOSS_NORMALIZERS]
KINDS += [{"assigner": "task_aligned", "cls_loss": "varifocal", "box_bias_init": 2.0}]


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_one_batch_is_that_of_training(options):
    head = {key: options.pop(key) for key in [*options] if key == "box_bias_init"}
    model = three_class_detector(NormedBackbone(), head, **options).train()
    found = ValidationLoss(run_of(len(RECORDS)))(model, NAME)
    assert model.training and model.backbone.norm.training
    normalizers = model.proposal_generator.loss_normalizers
    if "moving" in normalizers.kind:
        assert normalizers.moving_num_pos == 100, "an evaluation is no iteration"
        normalizers.moving_num_pos.fill_((100 - positives(model) / 10) / 0.9)  # training moves it
    expected = losses_of_training(model, RECORDS)
    assert found.pop("total_loss") == pytest.approx(sum(expected.values()), rel=1e-5)
    assert found == pytest.approx(expected, rel=1e-5)


def positives(model):
    entries = [validation_loss.WithTruth(mapper, [0, 1, 2])(x) for x in RECORDS]
    return model.target_sums(entries)[:-2].sum()


def test_batches_are_those_of_training_whatever_the_loader_has():
    """5 images in batches of 2 in a mixed order; the last has its image twice, and counts half."""
    model = detector()
    order = torch.randperm(5, generator=torch.Generator().manual_seed(ORDER)).tolist()
    mixed = [RECORDS[i] for i in order]
    one, two, last = (losses_of_training(model, x) for x in (mixed[:2], mixed[2:4], [mixed[4]] * 2))
    expected = {name: 0.4 * one[name] + 0.4 * two[name] + 0.2 * last[name] for name in one}
    for batches_of_loader in (1, 2, 5):
        found = ValidationLoss(run_of(2, batches=batches_of_loader))(model, NAME)
        found.pop("total_loss")
        assert found == pytest.approx(expected, rel=1e-5)
    whole = ValidationLoss(run_of(5))(model, NAME)
    assert whole["loss_fcos_cls"] != pytest.approx(expected["loss_fcos_cls"], rel=0.01)


@pytest.mark.parametrize("kind", LOSS_NORMALIZERS)
def test_two_ranks_find_what_one_finds(monkeypatch, kind):
    """The second has one image, without a box; both join one gathering."""
    model = detector(loss_normalizer=kind)
    alone = ValidationLoss(run_of(4, [*RECORDS[:2], RECORDS[3], RECORDS[2]]))(model, NAME)
    sent = []
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    monkeypatch.setattr(comm, "gather", lambda mine: sent.append(mine) or [])
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    second = ValidationLoss(run_of(4, [RECORDS[2]]))
    assert second(model, NAME) == {}
    monkeypatch.setattr(comm, "is_main_process", lambda: True)
    monkeypatch.setattr(comm, "gather", lambda mine: [mine, *sent])
    if "moving" in kind:  # a mean over ranks, which have half as many each
        model.proposal_generator.loss_normalizers.moving_num_pos.fill_(50.0)
    together = ValidationLoss(run_of(4, [*RECORDS[:2], RECORDS[3]]))(model, NAME)
    assert together == pytest.approx(alone, rel=1e-6)


def test_a_rank_without_images_joins(monkeypatch):
    sent = []
    monkeypatch.setattr(comm, "gather", lambda mine: sent.append(mine) or [])
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert ValidationLoss(run_of(4, []))(detector(), NAME) == {}
    assert sent == [None]


def test_classes_go_by_name_and_crowds_as_in_training():
    names = ["three", "one", "two"]
    entry = ValidationLoss(run_of(2), names).loader(NAME)[0][0]
    assert entry["instances"].gt_classes.tolist() == [1, 2, 0]
    crowd = [record(0, [[5.0, 5.0, 35.0, 45.0]], iscrowd=1)]
    for learned in (False, True):
        (batch,) = ValidationLoss(run_of(2, crowd, crowd_boxes=learned)).loader(NAME)
        assert len(batch[0]["instances"]) == learned
    assert crowd[0]["annotations"][0]["iscrowd"] == 1, "the records stay"


def test_boxes_are_cut_to_the_image_and_empty_ones_go():
    boxes = [[-9.0, 5.0, 35.0, 99.0], [20.0, 10.0, 20.0, 60.0], [100.0, 3.0, 120.0, 30.0]]
    (batch,) = ValidationLoss(run_of(2, [record(0, boxes)])).loader(NAME)
    instances: Instances = batch[0]["instances"]
    assert instances.gt_boxes.tensor.tolist() == [[0.0, 5.0, 35.0, 64.0]]


def test_a_set_without_annotations_has_no_loss(caplog):
    bare = [{key: x[key] for key in x if key != "annotations"} for x in RECORDS]
    assert ValidationLoss(run_of(2, bare))(detector(), NAME) == {}
    assert f"{NAME} has no annotations, so there is no validation loss" in caplog.text


def test_no_boxes_at_all_give_numbers():
    found = ValidationLoss(run_of(2, [RECORDS[2]]))(detector(), NAME)
    assert found["loss_fcos_loc"] == 0 and 0 < found["loss_fcos_cls"] < math.inf


def test_other_losses_are_refused():
    with pytest.raises(ValueError, match="`validation_loss` is on, but Conv2d is no detector with"):
        check_has_losses(nn.Conv2d(1, 1, 1))
