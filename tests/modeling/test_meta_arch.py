"""The detector: batches in detectron2's format go in, losses or detections come out."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, PROPOSAL_GENERATOR_REGISTRY, build_model
from detectron2.modeling.backbone import Backbone
from detectron2.structures import Boxes, Instances
from random_detector import pictures, tiny_detector
from stand_ins import three_class_detector
from torch import nn

from fcos_d2.config import get_cfg
from fcos_d2.modeling import FCOS, FCOSProposalGenerator, Selection, SizeRangeAssigner
from fcos_d2.modeling.head import HeadOutputs


def build(backbone: Backbone, prior_prob: float = 0.3, **options) -> FCOS:
    """A detector of three classes on two levels."""
    return three_class_detector(backbone, {"prior_prob": prior_prob}, **options)


def truth(boxes: list[list[float]], classes: list[int], size=(64, 96)) -> Instances:
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    return instances


def some_batch() -> list[dict]:
    """Two images of different sizes, the second without boxes."""
    first = truth([[5.0, 5.0, 35.0, 45.0], [20.0, 10.0, 90.0, 60.0]], [0, 2])
    return [
        {"image": (torch.rand(3, 64, 96) * 255).byte(), "instances": first},
        {"image": (torch.rand(3, 40, 56) * 255).byte(), "instances": truth([], [], (40, 56))},
    ]


# --- worked out on paper ----------------------------------------------------------------------


class NoBackbone(Backbone):
    def output_shape(self) -> dict[str, ShapeSpec]:
        return {"p3": ShapeSpec(channels=1, stride=8)}

    @property
    def size_divisibility(self) -> int:
        return 32

    def forward(self, images: torch.Tensor) -> dict[str, None]:
        return {"p3": None}


class PaperHead(nn.Module):
    """One level of stride 8 and 4x4 cells: three boxes of class 0, one in each of three cells."""

    num_classes, num_levels, quality_branch = 1, 1, True

    def forward(self, features: list) -> HeadOutputs:
        cls_logits = torch.full((1, 1, 4, 4), -100.0)
        ltrb_in_strides = torch.zeros(1, 4, 4, 4)
        boxes = {(0, 0): [0.5, 0.5, 1.0, 1.0], (1, 1): [3.0, 1.0, 1.0, 1.0], (3, 3): [0.5] * 4}
        for i, ((row, column), ltrb) in enumerate(boxes.items()):
            cls_logits[0, 0, row, column] = 3.0 - i
            ltrb_in_strides[0, :, row, column] = torch.tensor(ltrb)
        zeros = torch.zeros(1, 1, 4, 4)
        return HeadOutputs([cls_logits], [ltrb_in_strides], [zeros], [zeros])


@pytest.mark.parametrize("max_detections", [100, 3, 2])
def test_detections_on_paper(max_detections):
    # A 20 high and 24 wide image, padded to 32x32, shown 40 high and 72 wide: y times 2, x times 3.
    # Cell (0, 0), location (4, 4): (0, 0)-(12, 12) becomes (0, 0)-(36, 24).
    # Cell (1, 1), location (12, 12): (-12, 4)-(20, 20), cut to (0, 8)-(60, 40).
    # Cell (3, 3), location (28, 28): (24, 24)-(32, 32) lies in the padding and goes.
    generator = FCOSProposalGenerator(
        head=PaperHead(),
        in_features=["p3"],
        strides=[8],
        assigner=SizeRangeAssigner(size_bounds=[]),
        test_selection=Selection(max_detections=max_detections),
    )
    mean, std = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    model = FCOS(
        backbone=NoBackbone(), proposal_generator=generator, pixel_mean=mean, pixel_std=std
    ).eval()
    inputs = {"image": torch.zeros(3, 20, 24), "height": 40, "width": 72}
    (result,) = model([inputs])
    instances = result["instances"]
    assert instances.image_size == (40, 72)
    assert instances.pred_boxes.tensor.tolist() == [[0, 0, 36, 24], [0, 8, 60, 40]]
    expected = [math.sqrt(0.5 / (1 + math.exp(-logit))) for logit in (3.0, 2.0)]
    assert instances.scores.tolist() == pytest.approx(expected, rel=1e-6)
    assert instances.pred_classes.tolist() == [0, 0]


# --- training and inference -------------------------------------------------------------------


@pytest.mark.parametrize("box_quality", ["ctrness", "iou"])
def test_training(tiny_backbone, box_quality):
    model = build(tiny_backbone, box_quality=box_quality).train()
    losses = model(some_batch())
    last = "loss_fcos_iou" if box_quality == "iou" else "loss_fcos_ctr"
    assert list(losses) == ["loss_fcos_cls", "loss_fcos_loc", last]
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_training_without_any_box(tiny_backbone):
    batch = [{"image": torch.rand(3, 64, 96), "instances": truth([], [])} for _ in range(2)]
    losses = build(tiny_backbone).train()(batch)
    sum(losses.values()).backward()
    assert losses["loss_fcos_cls"] > 0
    assert (losses["loss_fcos_loc"].item(), losses["loss_fcos_ctr"].item()) == (0, 0)
    assert all(parameter.grad is not None for parameter in tiny_backbone.parameters())


def test_steps_on_one_batch_lower_the_loss(tiny_backbone):
    model, batch = build(tiny_backbone).train(), some_batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    totals = []
    for _ in range(15):
        total = sum(model(batch).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.75 * totals[0]


def test_results_are_inside_the_image_and_sorted(tiny_backbone):
    batch = some_batch()
    batch[1] |= {"height": 400, "width": 560}
    results = [x["instances"] for x in build(tiny_backbone).eval()(batch)]
    assert [x.image_size for x in results] == [(64, 96), (400, 560)]
    for instances in results:
        height, width = instances.image_size
        boxes = instances.pred_boxes.tensor
        assert len(boxes) > 0
        assert (boxes >= 0).all() and (boxes <= torch.tensor([width, height] * 2)).all()
        assert instances.pred_boxes.nonempty().all()
        assert (instances.scores.diff() <= 0).all()


def test_a_batch_of_two_equals_two_batches_of_one(tiny_backbone):
    model = build(tiny_backbone).eval()
    batch = [{"image": torch.rand(3, 64, 96) * 255} for _ in range(2)]
    for together, inputs in zip(model(batch), batch, strict=True):
        (alone,) = model([inputs])
        for name in ("scores", "pred_classes"):
            actual = alone["instances"].get(name)
            torch.testing.assert_close(actual, together["instances"].get(name))
        torch.testing.assert_close(
            alone["instances"].pred_boxes.tensor, together["instances"].pred_boxes.tensor
        )


def test_nothing_found(tiny_backbone):
    results = build(tiny_backbone, prior_prob=0.001).eval()(some_batch())
    assert [len(x["instances"]) for x in results] == [0, 0]
    assert all(x["instances"].has("pred_boxes") for x in results)


def test_box_features_come_with_the_detections(tiny_backbone):
    model = build(tiny_backbone, yield_box_features=True).eval()
    for result in model(some_batch()):
        instances = result["instances"]
        assert instances.box_features.shape == (len(instances), 32)


def test_inference_leaves_no_trace_in_the_model(tiny_backbone):
    model = build(tiny_backbone).eval()
    before = {key: x.clone() for key, x in model.state_dict().items()}
    attributes = set(vars(model.proposal_generator))
    model(some_batch())
    assert set(vars(model.proposal_generator)) == attributes
    assert all(x.equal(before[key]) for key, x in model.state_dict().items())


# --- wrong ground truth -----------------------------------------------------------------------

GOOD_BOX = [5.0, 5.0, 35.0, 45.0]


@pytest.mark.parametrize(
    ("box", "class_idx", "message"),
    [
        ([5.0, 5.0, 5.0, 45.0], 0, r"without area or not finite: \[5.0, 5.0, 5.0, 45.0\]"),
        ([5.0, 45.0, 35.0, 45.0], 0, "without area"),
        ([35.0, 5.0, 5.0, 45.0], 0, "without area"),
        ([5.0, 5.0, math.nan, 45.0], 0, "not finite"),
        ([5.0, 5.0, math.inf, 45.0], 0, "not finite"),
        ([-math.inf, 5.0, 35.0, 45.0], 0, "not finite"),
        (GOOD_BOX, 3, r"class 3 is outside \[0, 3\).*NUM_CLASSES"),
        (GOOD_BOX, -1, r"class -1 is outside \[0, 3\)"),
    ],
)
def test_wrong_ground_truth_names_the_image(tiny_backbone, box, class_idx, message):
    model, batch = build(tiny_backbone), some_batch()
    batch[0]["file_name"] = "good.jpg"
    batch[1]["file_name"] = "bad.jpg"
    batch[1]["instances"] = truth([GOOD_BOX, box], [0, class_idx])
    with pytest.raises(ValueError, match=f"image bad.jpg: .*{message}"):
        model.train()(batch)
    model.eval()(batch)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"file_name": "a.jpg", "image_id": 7}, "a.jpg"),
        ({"image_id": 7}, "7"),
        ({}, "without a name"),
    ],
)
def test_missing_ground_truth_names_the_image(tiny_backbone, names, expected):
    batch = some_batch()
    batch[1] = {"image": batch[1]["image"], **names}
    with pytest.raises(ValueError, match=f"image {expected} has no 'instances'"):
        build(tiny_backbone).train()(batch)


# --- construction -----------------------------------------------------------------------------


def test_a_generator_that_yields_proposals_is_refused(tiny_backbone):
    with pytest.raises(ValueError, match="train_selection.*YIELD_PROPOSAL"):
        build(tiny_backbone, train_selection=Selection())


@pytest.mark.parametrize("name", ["FCOS", "OneStageDetector"])
def test_from_config(name):
    assert name in META_ARCH_REGISTRY
    assert "FCOS" in PROPOSAL_GENERATOR_REGISTRY
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = name
    cfg.MODEL.PROPOSAL_GENERATOR.NAME = "FCOS"
    cfg.MODEL.BACKBONE.NAME = "build_fcos_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.FPN.IN_FEATURES = ["res3", "res4", "res5"]
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):
        model = build_model(cfg)
    assert type(model) is FCOS
    assert type(model.proposal_generator) is FCOSProposalGenerator
    assert model.pixel_mean.shape == model.pixel_std.shape == (3, 1, 1)
    assert not [key for key in model.state_dict() if key.startswith("pixel")]


def test_unequal_images_find_together_what_each_finds_alone():
    """Norms over the whole map count the padding, so only images of one padded size go together."""
    model = tiny_detector()
    sizes = [(64, 96), (90, 60), (60, 90), (40, 40), (64, 96), (30, 120)]
    inputs = [{"image": image} for image in pictures(*sizes)]
    passes = []
    model.backbone.register_forward_pre_hook(lambda _, args: passes.append(tuple(args[0].shape)))
    with torch.no_grad():
        together = [x["instances"] for x in model(inputs)]
        assert [(n, h, w) for n, _, h, w in passes] == [
            (3, 64, 96),
            (1, 96, 64),
            (1, 48, 48),
            (1, 32, 128),
        ]
        alone = [model([x])[0]["instances"] for x in inputs]
        padded = [x["instances"] for x in model.detect_padded(inputs)]
        assert model([]) == []
    assert min(map(len, together)) > 5
    for one, wanted in zip(together, alone, strict=True):
        assert one.image_size == wanted.image_size
        assert one.pred_classes.tolist() == wanted.pred_classes.tolist()
        torch.testing.assert_close(one.scores, wanted.scores, atol=1e-4, rtol=0)
        torch.testing.assert_close(
            one.pred_boxes.tensor, wanted.pred_boxes.tensor, atol=1e-3, rtol=1e-5
        )
    # What this is against: the scores of the first image padded to 96 x 128.
    assert abs(padded[0].scores[0] - alone[0].scores[0]) > 1e-3
