"""Head, losses and selection put together."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import GeneralizedRCNN, StandardROIHeads
from detectron2.modeling.box_regression import Box2BoxTransform
from detectron2.modeling.matcher import Matcher
from detectron2.modeling.poolers import ROIPooler
from detectron2.modeling.roi_heads.box_head import FastRCNNConvFCHead
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from golden_units import RecordedHead
from parts import generator_of
from torch import Tensor, nn

from fcos_d2.config import get_cfg
from fcos_d2.modeling import FCOSHead, FCOSProposalGenerator, Selection
from fcos_d2.modeling.criterion import BOX_QUALITIES
from fcos_d2.modeling.geometry import LocationGrid
from fcos_d2.modeling.head import HeadOutputs
from fcos_d2.modeling.losses import LOC_LOSS_TYPES
from fcos_d2.modeling.normalizers import LOSS_NORMALIZERS

LOSSES = {"loss_fcos_cls", "loss_fcos_loc", "loss_fcos_ctr"}


def build_head(**options) -> FCOSHead:
    sizes = {"in_channels": 32, "num_classes": 3, "num_levels": 2}
    return FCOSHead(**{**sizes, "num_cls_convs": 1, "num_box_convs": 1, **options})


def build(head: nn.Module | None = None, **options) -> FCOSProposalGenerator:
    """Two levels of strides 8 and 16, three classes; see `generator_of`."""
    options = {"in_features": ["p3", "p4"], "strides": [8, 16], "size_bounds": [32], **options}
    return generator_of(head or build_head(), **options)


def learning(quality: str) -> dict:
    """Options of `build` for a quality branch that learns this; "none": without the branch."""
    if quality == "none":
        return {"head": build_head(quality_branch=False)}
    return {"box_quality": quality}


def image_list(num_images: int, height: int = 64, width: int = 96) -> ImageList:
    return ImageList(torch.zeros(num_images, 3, height, width), [(height, width)] * num_images)


def random_features(num_images: int) -> dict[str, Tensor]:
    return {
        "p3": torch.randn(num_images, 32, 8, 12),
        "p4": torch.randn(num_images, 32, 4, 6),
    }


def truth(boxes: list[list[float]], classes: list[int], size=(64, 96)) -> Instances:
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
    instances.gt_classes = torch.tensor(classes, dtype=torch.int64)
    return instances


def some_truth() -> list[Instances]:
    first = truth([[5.0, 5.0, 35.0, 45.0], [20.0, 10.0, 90.0, 60.0]], [0, 2])
    return [first, truth([[50.0, 8.0, 70.0, 30.0]], [1])]


def no_truth(num_images: int = 2) -> list[Instances]:
    return [truth([], []) for _ in range(num_images)]


# --- worked out on paper ----------------------------------------------------------------------


def paper_generator(num_images: int, **options) -> FCOSProposalGenerator:
    """One level of 2x2 cells, stride 8, one class; all logits 0, all distances 1 stride."""
    outputs = HeadOutputs(
        cls_logits=[torch.zeros(num_images, 1, 2, 2)],
        ltrb_in_strides=[torch.ones(num_images, 4, 2, 2)],
        quality_logits=[torch.zeros(num_images, 1, 2, 2)],
        box_features=[torch.zeros(num_images, 1, 2, 2)],
    )
    levels = {"in_features": ["p3"], "strides": [8], "size_bounds": []}
    return generator_of(RecordedHead(outputs), **levels, **options).train()


def paper_losses(generator: FCOSProposalGenerator, num_images: int) -> dict[str, float]:
    """The first image has a box over the whole 16x16 px, the others have none."""
    gt_instances = [truth([[0.0, 0.0, 16.0, 16.0]], [0], (16, 16))]
    gt_instances += [truth([], [], (16, 16)) for _ in range(num_images - 1)]
    _, losses = generator(image_list(num_images, 16, 16), {"p3": None}, gt_instances)
    return {name: loss.item() for name, loss in losses.items()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # All four locations are positive. Focal loss 0.25 * 0.25 * log 2 = 0.043322 each, over 4.
        # Box: target (0.5, 0.5, 1.5, 1.5) or mirrored, intersection 1.5^2 = 2.25, union
        # 4 + 4 - 2.25 = 5.75, IoU 3.25/6.75, hull 2.5^2 = 6.25: 1 - 0.481481 + 0.5/6.25 = 0.598519;
        # the centerness 1/3 of all four cancels. Quality: log 2 each, over 4.
        ({}, {"loss_fcos_cls": 0.043322, "loss_fcos_loc": 0.598519, "loss_fcos_ctr": 0.693147}),
        (
            {"box_quality": "iou", "loc_loss_type": "linear_iou", "loss_weight_cls": 10.0},
            {"loss_fcos_cls": 0.433217, "loss_fcos_loc": 0.518519, "loss_fcos_iou": 0.693147},
        ),
        # alpha 0.5, gamma 0: 0.5 * log 2 each.
        (
            {"alpha": 0.5, "gamma": 0.0},
            {"loss_fcos_cls": 0.346574, "loss_fcos_loc": 0.598519, "loss_fcos_ctr": 0.693147},
        ),
    ],
)
def test_losses_on_paper(options, expected):
    losses = paper_losses(paper_generator(1, **options), 1)
    assert losses == pytest.approx(expected, abs=1e-6)


def test_box_loss_is_weighted_by_centerness_on_paper():
    # Box (2, 0)-(16, 16). Column x = 4: l = 2, r = 12; column x = 12: l = 10, r = 4; both rows have
    # 4 and 12. Centerness sqrt(2/12 * 4/12) = 0.235702 and sqrt(4/10 * 4/12) = 0.365148. Distances
    # are right in the first column and 1 stride in the second, whose targets are (10, 4, 4, 12) / 8
    # or upside down: intersection 1.5 * 1.5 = 2.25, union 4 + 3.5 - 2.25 = 5.25, IoU 3.25/6.25,
    # hull 2.25 * 2.5 = 5.625: 1 - 0.52 + 0.375/5.625 = 0.546667. Weighted mean
    # 0.365148 * 0.546667 / (0.235702 + 0.365148) = 0.332220.
    generator = paper_generator(1)
    distances = generator.fcos_head.outputs.ltrb_in_strides[0]
    distances[0, :, 0, 0] = torch.tensor([2.0, 4.0, 12.0, 12.0]) / 8
    distances[0, :, 1, 0] = torch.tensor([2.0, 12.0, 12.0, 4.0]) / 8
    gt_instances = [truth([[2.0, 0.0, 16.0, 16.0]], [0], (16, 16))]
    _, losses = generator(image_list(1, 16, 16), {"p3": None}, gt_instances)
    assert losses["loss_fcos_loc"].item() == pytest.approx(0.332220, abs=1e-5)


def test_predicted_iou_is_a_target_without_gradient():
    generator = paper_generator(1, box_quality="iou")
    generator.fcos_head.outputs.ltrb_in_strides[0].requires_grad_()
    gt_instances = [truth([[0.0, 0.0, 16.0, 16.0]], [0], (16, 16))]
    # A quality logit off 0, because at 0 the loss does not depend on its target.
    generator.fcos_head.outputs.quality_logits[0].fill_(2.0)
    _, losses = generator(image_list(1, 16, 16), {"p3": None}, gt_instances)
    assert not losses["loss_fcos_iou"].requires_grad
    assert losses["loss_fcos_loc"].requires_grad


@pytest.mark.parametrize(
    ("loss_normalizer", "calls"),
    [
        # Four positive entries of 0.043322 and, in the empty image, four negative ones of
        # 0.75 * 0.25 * log 2 = 0.129965: together 0.693147. Over 4 positives; over 8 locations;
        # over 0.9 * 100 + 0.1 * 4 = 90.4, then over 0.9 * 90.4 + 0.1 * 4 = 81.76.
        ("fg", [0.173287, 0.173287]),
        ("all", [0.086643, 0.086643]),
        ("moving_fg", [0.693147 / 90.4, 0.693147 / 81.76]),
    ],
)
def test_normalisers_on_paper(loss_normalizer, calls):
    generator = paper_generator(2, loss_normalizer=loss_normalizer)
    losses = [paper_losses(generator, 2) for _ in calls]
    assert [x["loss_fcos_cls"] for x in losses] == pytest.approx(calls, rel=1e-5)
    # The other losses are over positives whatever the choice.
    assert losses[1]["loss_fcos_loc"] == pytest.approx(0.598519, abs=1e-6)
    assert losses[1]["loss_fcos_ctr"] == pytest.approx(0.693147, abs=1e-6)


def test_detections_on_paper():
    # Location (4, 4), distances of 1, 2, 3 and 4 strides of 8: (4-8, 4-16)-(4+24, 4+32); scores
    # sqrt(sigmoid(2) * sigmoid(0)) = sqrt(0.880797 * 0.5) = 0.663626.
    generator = paper_generator(1).eval()
    outputs = generator.fcos_head.outputs
    outputs.cls_logits[0][0, 0] = torch.tensor([[2.0, -100.0], [-100.0, -100.0]])
    outputs.ltrb_in_strides[0][0, :, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    (detections,), losses = generator(image_list(1, 16, 16), {"p3": None})
    assert losses == {}
    assert detections.image_size == (16, 16)
    assert detections.pred_boxes.tensor.tolist() == [[-4, -12, 28, 36]]
    assert detections.scores.tolist() == pytest.approx([0.663626], abs=1e-6)
    assert detections.pred_classes.tolist() == [0]


def test_positives_are_logged():
    with EventStorage() as storage:
        paper_losses(paper_generator(2), 2)
        assert storage.latest()["fcos/num_pos"][0] == 4
        assert storage.latest()["fcos/num_pos_p3"][0] == 4


@pytest.mark.parametrize("name", ["cls", "loc", "quality"])
def test_weights_of_the_losses(name):
    plain = paper_losses(paper_generator(1), 1)
    weighted = paper_losses(paper_generator(1, **{f"loss_weight_{name}": 3.0}), 1)
    key = {"cls": "loss_fcos_cls", "loc": "loss_fcos_loc", "quality": "loss_fcos_ctr"}[name]
    assert weighted == pytest.approx(plain | {key: 3 * plain[key]})


# --- properties of training -------------------------------------------------------------------


def train_losses(generator, features, gt_instances) -> dict[str, Tensor]:
    detections, losses = generator.train()(image_list(len(gt_instances)), features, gt_instances)
    assert detections is None
    return losses


def test_order_of_images_does_not_matter():
    generator, features, gt_instances = build(), random_features(2), some_truth()
    expected = train_losses(generator, features, gt_instances)
    swapped = {name: x.flip(0) for name, x in features.items()}
    actual = train_losses(generator, swapped, gt_instances[::-1])
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("quality", [*BOX_QUALITIES, "none"])
def test_a_batch_is_the_sum_of_its_images(quality):
    generator = build(**learning(quality))
    features, gt_instances = random_features(2), some_truth()
    batch = train_losses(generator, features, gt_instances)
    sums, weights = dict.fromkeys(batch, 0.0), dict.fromkeys(batch, 0.0)
    for n in range(2):
        with EventStorage() as storage:
            image = {name: x[n : n + 1] for name, x in features.items()}
            losses = train_losses(generator, image, gt_instances[n : n + 1])
            num_pos = storage.latest()["fcos/num_pos"][0]
        assert num_pos > 0
        for name, loss in losses.items():
            sums[name] += loss.item() * num_pos
            weights[name] += num_pos
    if quality != "iou":
        # The box loss is over summed centerness, which is not looked at here.
        sums.pop("loss_fcos_loc")
    for name, total in sums.items():
        assert batch[name].item() == pytest.approx(total / weights[name], rel=1e-5)


def test_padding_that_predicts_nothing_does_not_matter():
    torch.manual_seed(1)
    outputs = build_head()(list(random_features(2).values()))
    padded = []
    for field, value in zip(outputs, (-100.0, 1.0, 0.0, 0.0), strict=True):
        padded.append([nn.functional.pad(x, (0, 4, 0, 2), value=value) for x in field])
    generators = [build(RecordedHead(x)) for x in (outputs, HeadOutputs(*padded))]
    features = {"p3": None, "p4": None}
    expected, actual = (train_losses(x, features, some_truth()) for x in generators)
    torch.testing.assert_close(actual, expected)

    expected, actual = (x.eval()(image_list(2), features)[0] for x in generators)
    for n in range(2):
        assert actual[n].pred_boxes.tensor.equal(expected[n].pred_boxes.tensor)
        assert actual[n].scores.equal(expected[n].scores)


def assert_all_gradients(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("loss_normalizer", LOSS_NORMALIZERS)
@pytest.mark.parametrize("quality", [*BOX_QUALITIES, "none"])
@pytest.mark.parametrize("loc_loss_type", LOC_LOSS_TYPES)
def test_no_boxes_in_the_batch(loc_loss_type, quality, loss_normalizer):
    generator = build(
        loc_loss_type=loc_loss_type, loss_normalizer=loss_normalizer, **learning(quality)
    )
    losses = train_losses(generator, random_features(2), no_truth())
    sum(losses.values()).backward()
    cls_loss, *others = losses.values()
    assert cls_loss > 0
    assert [loss.item() for loss in others] == [0] * (1 if quality == "none" else 2)
    assert_all_gradients(generator)
    assert (generator.fcos_head.bbox_pred.weight.grad == 0).all()


def test_boxes_that_no_location_learns():
    # Between the locations, outside of the image, without area.
    gt_instances = [
        truth(
            [[5.0, 5.0, 11.0, 11.0], [-50.0, -50.0, -10.0, -10.0], [9.0, 9.0, 9.0, 40.0]], [0] * 3
        )
    ]
    generator, features = build(), random_features(1)
    losses = train_losses(generator, features, gt_instances)
    expected = train_losses(generator, features, no_truth(1))
    torch.testing.assert_close(losses, expected)


@pytest.mark.parametrize("empty", [0, 1])
def test_one_image_of_two_without_boxes(empty):
    gt_instances = some_truth()
    gt_instances[empty] = truth([], [])
    generator = build()
    losses = train_losses(generator, random_features(2), gt_instances)
    sum(losses.values()).backward()
    assert all(loss.isfinite() and loss > 0 for loss in losses.values())
    assert_all_gradients(generator)


OTHERS = [
    {"cls_loss": "quality_focal", "quality_branch": False},
    {"cls_loss": "varifocal", "box_quality": "iou"},
    {"assigner": "atss"},
    {"assigner": "atss", "cls_loss": "quality_focal"},
    {"assigner": "task_aligned", "cls_loss": "quality_focal", "quality_branch": False},
    {"assigner": "task_aligned", "cls_loss": "varifocal"},
]


@pytest.mark.parametrize("options", OTHERS, ids=lambda x: "-".join(map(str, x.values())))
@pytest.mark.parametrize("gt_instances", [some_truth, no_truth])
def test_other_losses_and_assigners(options, gt_instances):
    """One step in bfloat16: losses in float32, and gradients that reach all of the head."""
    options = {**options}
    branch = options.pop("quality_branch", True)
    generator = build(build_head(quality_branch=branch, box_bias_init=2.0), **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = train_losses(generator, random_features(2), gt_instances())
    sum(losses.values()).backward()
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert len(losses) == 2 + branch
    assert losses["loss_fcos_cls"] > 0
    assert (losses["loss_fcos_loc"] > 0) == (gt_instances is some_truth)
    assert_all_gradients(generator)


@pytest.mark.parametrize("options", OTHERS, ids=lambda x: "-".join(map(str, x.values())))
def test_other_losses_and_assigners_learn(options):
    """Two pictures by heart: every box is found, with the right class and half the full score."""
    torch.manual_seed(0)
    options = {**options}
    branch = options.pop("quality_branch", True)
    generator = build(build_head(quality_branch=branch, box_bias_init=2.0), **options)
    features, gt_instances = random_features(2), some_truth()
    optimizer = torch.optim.AdamW(generator.parameters(), lr=3e-3)
    for _ in range(80):
        optimizer.zero_grad()
        sum(train_losses(generator, features, gt_instances).values()).backward()
        optimizer.step()
    detections, _ = generator.eval()(image_list(2), features)
    for found, instances in zip(detections, gt_instances, strict=True):
        ious = pairwise_iou(instances.gt_boxes, found.pred_boxes)
        right = instances.gt_classes[:, None] == found.pred_classes
        assert ((ious > 0.7) & right & (found.scores > 0.5)).any(dim=1).all()


def test_task_aligned_losses_on_paper():
    """One location, (4, 4), and a box 0..8 around it of class 0; logits 0, distances of 1/2 stride.

    The predicted box is the true one, so IoU = alignment = 1, with one positive of weight 1. The
    positive entry of the quality focal loss is (1 - 1/2)^2 log 2, each of the two others
    (1/2)^2 log 2: together 3/4 log 2. The box loss is 0, and both are divided by 1.
    """
    outputs = HeadOutputs(
        [torch.zeros(1, 3, 1, 1)],
        [torch.full((1, 4, 1, 1), 0.5)],
        [torch.zeros(1, 1, 1, 1)],
        [torch.zeros(1, 1, 1, 1)],
    )
    generator = build(
        RecordedHead(outputs),
        in_features=["p3"],
        strides=[8],
        size_bounds=[],
        assigner="task_aligned",
        cls_loss="quality_focal",
    )
    gt_instances = [truth([[0.0, 0.0, 8.0, 8.0]], [0], size=(8, 8))]
    _, losses = generator.train()(image_list(1, 8, 8), {"p3": None}, gt_instances)
    expected = {"loss_fcos_cls": 0.75, "loss_fcos_loc": 0.0, "loss_fcos_ctr": 1.0}
    for name, factor in expected.items():
        assert losses[name].item() == pytest.approx(factor * math.log(2), abs=1e-6)


def test_scores_without_a_quality_branch():
    generator = build(build_head(quality_branch=False), score_thresh=0.0).eval()
    features = random_features(1)
    (instances,), _ = generator(image_list(1), features)
    outputs = generator.fcos_head(list(features.values()))
    probabilities = torch.cat([x.sigmoid().flatten() for x in outputs.cls_logits])
    assert outputs.quality_logits == [] and len(instances) > 0
    assert torch.isin(instances.scores, probabilities).all()


@pytest.mark.parametrize("relu_regression", [True, False])
@pytest.mark.parametrize("norm", ["GN", "BN", "none"])
def test_training_under_autocast(norm, relu_regression):
    generator = build(build_head(norm=norm, relu_regression=relu_regression))
    features = random_features(2)
    exact = train_losses(generator, features, some_truth())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = train_losses(generator, features, some_truth())
    sum(losses.values()).backward()
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.05)
    assert_all_gradients(generator)


def test_inference_under_autocast():
    generator = build(build_head(prior_prob=0.3)).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        detections, _ = generator(image_list(2), random_features(2))
    for instances in detections:
        assert len(instances) > 0
        assert instances.pred_boxes.tensor.dtype == torch.float32
        assert instances.scores.dtype == torch.float32


def test_moving_normaliser_is_kept_in_the_checkpoint():
    assert "loss_normalizers.moving_num_pos" not in build().state_dict()
    generator, features = build(loss_normalizer="moving_fg"), random_features(2)
    assert generator.state_dict()["loss_normalizers.moving_num_pos"].item() == 100
    for _ in range(3):
        train_losses(generator, features, some_truth())
    state = generator.state_dict()
    assert state["loss_normalizers.moving_num_pos"].item() < 90
    resumed = build(loss_normalizer="moving_fg")
    resumed.load_state_dict(state)
    expected = train_losses(generator, features, some_truth())
    torch.testing.assert_close(train_losses(resumed, features, some_truth()), expected)
    value = resumed.loss_normalizers.moving_num_pos.clone()
    resumed.eval()(image_list(2), features)
    assert resumed.loss_normalizers.moving_num_pos.equal(value), "inference leaves it alone"


def test_moving_normaliser_of_empty_batches_goes_to_one():
    # 1 + 99 * 0.9^120 = 1.0003
    generator = paper_generator(1, loss_normalizer="moving_fg")
    for _ in range(120):
        generator(image_list(1, 16, 16), {"p3": None}, [truth([], [], (16, 16))])
    assert generator.loss_normalizers.moving_num_pos.item() == pytest.approx(1.0003, abs=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_training_on_a_gpu(dtype):
    generator, features = build(), random_features(2)
    exact = train_losses(generator, features, some_truth())
    generator.cuda()
    gt_instances = [x.to("cuda") for x in some_truth()]
    images = ImageList(torch.zeros(2, 3, 64, 96, device="cuda"), [(64, 96)] * 2)
    features = {name: x.cuda() for name, x in features.items()}
    with torch.autocast("cuda", dtype=dtype, enabled=dtype != torch.float32):
        _, losses = generator(images, features, gt_instances)
    sum(losses.values()).backward()
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.05)
    assert_all_gradients(generator)


# --- properties of inference ------------------------------------------------------------------


def test_a_batch_of_two_equals_two_batches_of_one():
    generator, features = build(build_head(prior_prob=0.3)).eval(), random_features(2)
    together, _ = generator(image_list(2), features)
    for n in range(2):
        (alone,), _ = generator(image_list(1), {k: x[n : n + 1] for k, x in features.items()})
        assert len(alone) == len(together[n]) > 0
        torch.testing.assert_close(alone.pred_boxes.tensor, together[n].pred_boxes.tensor)
        torch.testing.assert_close(alone.scores, together[n].scores)
        assert alone.pred_classes.equal(together[n].pred_classes)


def test_nothing_found():
    detections, _ = build().eval()(image_list(2), random_features(2))
    for instances in detections:
        assert len(instances) == 0
        assert instances.pred_boxes.tensor.shape == (0, 4)
        assert (instances.scores.shape, instances.pred_classes.shape) == ((0,), (0,))


def test_detections_carry_no_graph():
    generator = build(build_head(prior_prob=0.3), yield_box_features=True).eval()
    (instances,), _ = generator(image_list(1), random_features(1))
    for x in (instances.pred_boxes.tensor, instances.scores, instances.box_features):
        assert not x.requires_grad


def test_box_features_belong_to_the_location_of_the_box():
    # The features of this head are level, column and row of their cell.
    outputs = build_head(prior_prob=0.3)(list(random_features(2).values()))
    markers = []
    for level, x in enumerate(outputs.ltrb_in_strides):
        rows, columns = torch.meshgrid(*(torch.arange(s) for s in x.shape[-2:]), indexing="ij")
        marker = torch.stack((torch.full_like(rows, level), columns, rows)).float()
        markers.append(marker.expand(len(x), -1, -1, -1))
    head = RecordedHead(outputs._replace(box_features=markers))
    generator = build(head, yield_box_features=True).eval()
    detections, _ = generator(image_list(2), {"p3": None, "p4": None})
    for n, instances in enumerate(detections):
        assert len(instances) > 0
        found = zip(instances.box_features.int().tolist(), instances.pred_boxes.tensor, strict=True)
        for (level, column, row), box in found:
            stride = (8, 16)[level]
            ltrb = outputs.ltrb_in_strides[level][n, :, row, column].detach() * stride
            x, y = column * stride + stride // 2, row * stride + stride // 2
            expected = torch.tensor([x, y, x, y]) + ltrb * torch.tensor([-1, -1, 1, 1])
            torch.testing.assert_close(box, expected)


def test_settings_of_training_and_inference_are_separate():
    generator = build(
        build_head(prior_prob=0.3),
        train_selection=Selection(nms_thresh=0.9, max_detections=5, topk_candidates=4),
        nms_thresh=0.9,
        max_detections=3,
    )
    images, features = image_list(2), random_features(2)
    train_proposals, losses = generator.train()(images, features, some_truth())
    test_proposals, _ = generator.eval()(images, features)
    assert set(losses) == LOSSES
    assert [len(x) for x in train_proposals] == [5, 5]
    assert [len(x) for x in test_proposals] == [3, 3]
    strict = build(build_head(prior_prob=0.3), train_selection=Selection(score_thresh=0.99)).train()
    assert [len(x) for x in strict(images, features, some_truth())[0]] == [0, 0]


def test_proposals_have_the_fields_of_a_first_stage():
    """They are the detections, but that they lie within the image and have an area."""
    head, features = build_head(prior_prob=0.3), random_features(1)
    options = {"nms_thresh": 0.0, "max_detections": 0}
    nn.init.normal_(head.bbox_pred.weight, std=0.2)  # some boxes leave the image
    (detections,), _ = build(head, **options).eval()(image_list(1), features)
    (proposals,), _ = build(head, train_selection=Selection(), **options).eval()(
        image_list(1), features
    )
    assert set(proposals.get_fields()) == {"proposal_boxes", "objectness_logits"}
    boxes = detections.pred_boxes.clone()
    boxes.clip(detections.image_size)
    assert not boxes.tensor.equal(detections.pred_boxes.tensor)
    kept = boxes.nonempty()
    assert 0 < kept.sum() < len(boxes)
    assert proposals.proposal_boxes.tensor.equal(boxes[kept].tensor)
    torch.testing.assert_close(proposals.objectness_logits.sigmoid(), detections.scores[kept])


def test_proposals_without_area_take_no_places():
    """An untrained head with ReLU gives mostly boxes of a point: they are neither among the four
    candidates of a level nor among the proposals, in training and in inference.
    """
    head, features = build_head(prior_prob=0.3), random_features(1)
    limits = {"topk_candidates": 4, "nms_thresh": 0.0}
    (detections,), _ = build(head, **limits).eval()(image_list(1), features)
    assert not detections.pred_boxes.nonempty().all()
    generator = build(head, train_selection=Selection(**limits), **limits)
    for training in (True, False):
        truths = some_truth()[:1] if training else None
        (proposals,), _ = generator.train(training)(image_list(1), features, truths)
        boxes = proposals.proposal_boxes
        assert len(boxes) == 2 * 4 and boxes.nonempty().all()
        inside = boxes.clone()
        inside.clip(proposals.image_size)
        assert inside.tensor.equal(boxes.tensor)


# --- as the first stage of a two-stage detector -----------------------------------------------


def build_two_stage(backbone, prior_prob: float) -> GeneralizedRCNN:
    pooler = ROIPooler(
        output_size=3, scales=(1 / 8, 1 / 16), sampling_ratio=0, pooler_type="ROIAlignV2"
    )
    box_head = FastRCNNConvFCHead(
        ShapeSpec(channels=32, height=3, width=3), conv_dims=[], fc_dims=[16]
    )
    roi_heads = StandardROIHeads(
        box_in_features=["p3", "p4"],
        box_pooler=pooler,
        box_head=box_head,
        box_predictor=FastRCNNOutputLayers(
            ShapeSpec(channels=16),
            box2box_transform=Box2BoxTransform(weights=(10.0, 10.0, 5.0, 5.0)),
            num_classes=3,
            test_score_thresh=0.01,
        ),
        num_classes=3,
        batch_size_per_image=16,
        positive_fraction=0.5,
        proposal_matcher=Matcher([0.5], [0, 1]),
    )
    return GeneralizedRCNN(
        backbone=backbone,
        proposal_generator=build(build_head(prior_prob=prior_prob), train_selection=Selection()),
        roi_heads=roi_heads,
        pixel_mean=[100.0, 100.0, 100.0],
        pixel_std=[50.0, 50.0, 50.0],
    )


@pytest.mark.parametrize("prior_prob", [0.3, 0.001])
def test_first_stage_of_a_two_stage_detector(tiny_backbone, prior_prob):
    # With a prior of 0.001 the untrained first stage proposes nothing.
    model = build_two_stage(tiny_backbone, prior_prob).train()
    gt_instances = [some_truth()[0], truth([], [])]
    batch = [{"image": torch.rand(3, 64, 96) * 255, "instances": x} for x in gt_instances]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with EventStorage():
        losses = model(batch)
        assert set(losses) == LOSSES | {"loss_cls", "loss_box_reg"}
        sum(losses.values()).backward()
        assert_all_gradients(model)
        optimizer.step()
        assert all(loss.isfinite() for loss in model(batch).values())
    with torch.no_grad():
        results = model.eval()(batch)
    assert [set(x["instances"].get_fields()) for x in results] == [
        {"pred_boxes", "scores", "pred_classes"}
    ] * 2
    assert all((len(x["instances"]) > 0) == (prior_prob == 0.3) for x in results)


# --- construction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box_quality": "centerness"}, "box_quality must be one of.*'ctrness'.*got 'centerness'"),
        ({"assigner": "task_aligned"}, "TaskAligned.*soft class targets.*cls_loss.*got FocalLoss"),
        (
            {"assigner": "task_aligned", "cls_loss": "varifocal", "loss_normalizer": "all"},
            "needs the normalizer 'fg'.*got 'all'",
        ),
        (
            {"head": build_head(quality_branch=False), "thresh_with_quality": True},
            "needs a head with a quality branch",
        ),
        ({"loc_loss_type": "l1"}, "loc_loss_type must be one of.*'giou'.*got 'l1'"),
        ({"loss_normalizer": "pos"}, "normaliser must be one of.*'fg'.*got 'pos'"),
        ({"location_rule": "middle"}, "location_rule must be one of.*'corner'.*got 'middle'"),
        ({"iou_smoothing": -1.0}, "iou_smoothing must be positive.*got -1.0"),
        ({"iou_smoothing": 0.0, "loc_loss_type": "iou"}, "iou_smoothing .*got 0.0 with 'iou'"),
        ({"strides": [8, 16, 32]}, r"same number of levels, got .*\[8, 16, 32\]"),
        ({"in_features": ["p3"]}, r"same number of levels, got \['p3'\]"),
        ({"size_bounds": [32, 64]}, r"same number of levels, got .*size_bounds=\(32, 64\)"),
        ({"head": build_head(num_levels=3)}, "same number of levels, got .*3 levels of the head"),
        ({"size_bounds": [-1]}, r"size_bounds must be positive and rise.*got \[-1\]"),
        (
            {"train_selection": Selection(), "yield_box_features": True},
            "train_selection .YIELD_PROPOSAL. and yield_box_features exclude",
        ),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_the_head_says_how_many_classes_there_are():
    generator = build(build_head(num_classes=5))
    assert generator.num_classes == 5 and not generator.class_agnostic
    first_stage = build(build_head(num_classes=1), train_selection=Selection())
    assert first_stage.class_agnostic and first_stage.yield_proposals


def test_grids_follow_from_the_padded_size():
    assert build().grids((60, 96)) == [
        LocationGrid.of_level(8, 12, 8),
        LocationGrid.of_level(4, 6, 16),
    ]


def test_backbone_and_config_must_agree():
    cfg = get_cfg()
    cfg.MODEL.FCOS.update(
        {"IN_FEATURES": ["p3", "p4"], "FPN_STRIDES": [8, 16], "SIZES_OF_INTEREST": [32]}
    )
    p3, p4 = ShapeSpec(channels=32, stride=8), ShapeSpec(channels=32, stride=32)
    with pytest.raises(ValueError, match=r"FPN_STRIDES is \[8, 16\].*strides \[8, 32\]"):
        FCOSProposalGenerator(cfg, {"p3": p3, "p4": p4})
    with pytest.raises(ValueError, match=r"IN_FEATURES names \['p4'\].*gives \['p3', 'p5'\]"):
        FCOSProposalGenerator(cfg, {"p3": p3, "p5": p4})
