"""Other FCOS implementations, live, with random weights: converted, they give the same boxes."""

import copy

import numpy as np
import pytest
import torch
import torchvision
from detectron2 import model_zoo as detectron2_zoo
from detectron2.config import instantiate
from detectron2.data import transforms as T
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from fcos_d2 import Predictor
from fcos_d2.checkpoint.sources.torchvision_fcos import _COCO_GAPS

SIZES = ((120, 160), (200, 131), (97, 240))  # height, width
# Small, so that the models run fast; both limits count for one of the sizes or another.
SHORT, LONG = 160, 256
OPTS = ["INPUT.MIN_SIZE_TEST", str(SHORT), "INPUT.MAX_SIZE_TEST", str(LONG)]


def picture(height: int, width: int) -> np.ndarray:
    """Blobs and noise, BGR uint8 (height, width, 3)."""
    generator = np.random.default_rng(height)
    coarse = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    smooth = T.ResizeTransform(5, 5, height, width).apply_image(coarse)
    noise = generator.normal(0, 10, smooth.shape)
    return (smooth + noise).round().clip(0, 255).astype(np.uint8)


def randomise(model: nn.Module, cls_logits: nn.Conv2d, bbox_pred: nn.Conv2d) -> None:
    """Weights that give many boxes of many sizes, with scores on both sides of the threshold."""
    torch.manual_seed(0)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn_like(buffer) * 0.1)
        elif name.endswith("running_var"):
            buffer.copy_(torch.rand_like(buffer) * 0.2 + 0.9)
    for name, parameter in model.named_parameters():
        if name.endswith(("bn3.weight", "conv3.norm.weight")):
            parameter.data.mul_(0.3)  # keeps the activations of a deep random ResNet finite
        elif "head" in name and parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter)
    cls_logits.weight.data.mul_(0.4)
    nn.init.normal_(cls_logits.bias, mean=-5.5)
    nn.init.normal_(bbox_pred.bias, mean=2.0, std=0.3)


def assert_same_detections(found: Instances, boxes: Tensor, scores: Tensor, classes: Tensor):
    """The same set: boxes within 1e-2 px, scores within 1e-5."""
    assert len(found) == len(scores)
    # By score, which tells detections apart; equal scores could stand in any order.
    order, expected_order = found.scores.argsort(), scores.argsort()
    assert (scores[expected_order].diff() > 2e-5).float().mean() > 0.5, "scores tell boxes apart"
    close = {"rtol": 0, "check_dtype": False}
    torch.testing.assert_close(found.scores[order], scores[expected_order], atol=1e-5, **close)
    for box, score, label in zip(boxes, scores, classes, strict=True):
        near = (found.scores - score).abs() < 2e-5
        same = (found.pred_boxes.tensor[near] - box).abs().amax(dim=1) < 1e-2
        assert (same & (found.pred_classes[near] == label)).any(), (box, score, label)


def ground_truth() -> list[Instances]:
    """Boxes of all sizes on two images of 192 x 256 px; on the second, none.

    Corners lie on multiples of 4 px, so that distances meet the limits of the levels.
    """
    generator = torch.Generator().manual_seed(3)
    low = torch.randint(0, 40, (20, 2), generator=generator) * 4
    sides = (torch.rand(20, 2, generator=generator) * 4).exp().round() * 4 + 4
    instances = [Instances((192, 256)), Instances((192, 256))]
    instances[0].gt_boxes = Boxes(torch.cat((low, low + sides), dim=1).float())
    instances[0].gt_classes = torch.randint(0, 80, (20,), generator=generator)
    instances[1].gt_boxes = Boxes(torch.zeros(0, 4))
    instances[1].gt_classes = torch.zeros(0, dtype=torch.int64)
    return instances


@pytest.fixture(scope="module")
def images() -> ImageList:
    pixels = torch.from_numpy(np.stack([picture(192, 256), picture(192, 256)[::-1]]))
    normalised = (pixels.permute(0, 3, 1, 2).float() - 115) / 57
    return ImageList(normalised, [(192, 256)] * 2)


def our_losses(predictor: Predictor, images: ImageList, features: list[Tensor]) -> list[Tensor]:
    """Classification, box and centerness loss."""
    generator = copy.deepcopy(predictor.model.proposal_generator).train()
    if hasattr(generator.loss_normalizers, "moving_num_pos"):
        generator.loss_normalizers.moving_num_pos.fill_(300)  # detectron2's first value
    named = dict(zip(generator.in_features, features, strict=True))
    return list(generator(images, named, ground_truth())[1].values())


@pytest.fixture(scope="module")
def torchvision_model() -> nn.Module:
    model = torchvision.models.detection.fcos_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=SHORT, max_size=LONG
    ).eval()
    head = model.head
    randomise(model, head.classification_head.cls_logits, head.regression_head.bbox_reg)
    # Outputs without a class are trained never to fire; ours does not have them.
    head.classification_head.cls_logits.weight.data[list(_COCO_GAPS)] = 0
    head.classification_head.cls_logits.bias.data[list(_COCO_GAPS)] = -30
    return model


def test_coco_gaps_are_those_of_torchvision():
    names = torchvision.models.detection.FCOS_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    assert [i for i, x in enumerate(names) if x in ("__background__", "N/A")] == [*_COCO_GAPS]


@pytest.fixture(scope="module")
def torchvision_predictor(torchvision_model, tmp_path_factory) -> Predictor:
    path = tmp_path_factory.mktemp("torchvision") / "fcos.pth"
    torch.save(torchvision_model.state_dict(), path)
    return Predictor("Converted/TorchVision-R50", str(path), device="cpu", opts=OPTS)


@pytest.mark.parametrize("size", SIZES)
def test_torchvision(torchvision_model, torchvision_predictor, size):
    image = picture(*size)
    rgb = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1) / 255
    with torch.no_grad():
        expected = torchvision_model([rgb])[0]
    found = torchvision_predictor(image)
    # Boxes wholly outside the image are clipped to nothing, which detectron2 drops.
    sides = expected["boxes"][:, 2:] - expected["boxes"][:, :2]
    kept = (sides > 0).all(dim=1)
    assert 10 < kept.sum() < 100, "the threshold decides, not the cut"
    coco_ids = torch.tensor([i for i in range(91) if i not in _COCO_GAPS])
    assert_same_detections(
        found,
        expected["boxes"][kept],
        expected["scores"][kept],
        torch.searchsorted(coco_ids, expected["labels"][kept]),
    )


def test_losses_of_torchvision(torchvision_model, torchvision_predictor, images):
    peer = torchvision_model
    coco_ids = torch.tensor([i for i in range(91) if i not in _COCO_GAPS])
    targets = [
        {"boxes": x.gt_boxes.tensor, "labels": coco_ids[x.gt_classes]} for x in ground_truth()
    ]
    with torch.no_grad():
        features = list(peer.backbone(images.tensor).values())
        batch = torchvision.models.detection.image_list.ImageList(images.tensor, images.image_sizes)
        anchors, counts = (
            peer.anchor_generator(batch, features),
            [x[0, 0].numel() for x in features],
        )
        expected = peer.compute_loss(targets, peer.head(features), anchors, counts)
        found = our_losses(torchvision_predictor, images, features)
    assert all(loss > 0.05 for loss in expected.values())
    torch.testing.assert_close(found, list(expected.values()), rtol=1e-4, atol=0)


@pytest.fixture(scope="module")
def detectron2_model() -> nn.Module:
    config = detectron2_zoo.get_config("COCO-Detection/fcos_R_50_FPN_1x.py").model
    model = instantiate(copy.deepcopy(config)).eval()
    randomise(model, model.head.cls_score, model.head.bbox_pred)
    return model


@pytest.fixture(scope="module")
def detectron2_predictor(detectron2_model, tmp_path_factory) -> Predictor:
    path = tmp_path_factory.mktemp("detectron2") / "fcos.pth"
    torch.save({"model": detectron2_model.state_dict(), "iteration": 7}, path)
    return Predictor("Converted/detectron2-R50", str(path), device="cpu", opts=OPTS)


@pytest.mark.parametrize("size", SIZES)
def test_detectron2(detectron2_model, detectron2_predictor, size):
    image = picture(*size)
    resized = T.ResizeShortestEdge(SHORT, LONG).get_transform(image).apply_image(image)
    inputs = {"image": torch.from_numpy(resized.transpose(2, 0, 1).copy())}
    with torch.no_grad():
        expected = detectron2_model([{**inputs, "height": size[0], "width": size[1]}])[0][
            "instances"
        ]
    assert 10 < len(expected) < 100, "the threshold decides, not the cut"
    assert_same_detections(
        detectron2_predictor(image),
        expected.pred_boxes.tensor,
        expected.scores,
        expected.pred_classes,
    )


def test_losses_of_detectron2(detectron2_model, detectron2_predictor, images):
    peer = copy.deepcopy(detectron2_model)
    with torch.no_grad(), EventStorage():
        features = [peer.backbone(images.tensor)[name] for name in peer.head_in_features]
        predictions = peer.head(features)
        expected = peer.forward_training(images, features, predictions, ground_truth())
        found = our_losses(detectron2_predictor, images, features)
    assert all(loss > 0.01 for loss in expected.values())
    torch.testing.assert_close(found, list(expected.values()), rtol=1e-4, atol=0)
