"""Files as mmdetection writes them, against what its documentation says that they compute."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer

STRIDES = (8, 16, 32, 64, 128)
CAFFE = (
    "style='caffe', mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0], to_rgb=False, "
    "add_extra_convs='on_output', "
)
TRICKS = CAFFE + "norm_on_bbox=True, centerness_on_reg=True, center_sampling=True"
MODEL = (
    *("MODEL.DEVICE", "cpu", "MODEL.FCOS.NUM_CLASSES", "3", "MODEL.FCOS.CLIP_BEFORE_NMS", "True"),
    *("MODEL.FCOS.IN_FEATURES", "['p3','p4','p5','p6','p7']", "MODEL.FCOS.TOP_LEVELS", "2"),
    *("MODEL.FCOS.FPN_STRIDES", str(list(STRIDES)), "MODEL.FCOS.NORM", "GN"),
    *("MODEL.FCOS.SIZES_OF_INTEREST", "[64,128,256,512]"),
    *("MODEL.PIXEL_MEAN", "[102.9801,115.9465,122.7717]", "MODEL.PIXEL_STD", "[1.0,1.0,1.0]"),
)
PLAIN = (
    *("MODEL.FCOS.USE_RELU", "False", "MODEL.FCOS.NORM_REG_TARGETS", "False"),
    *("MODEL.FCOS.CENTERNESS_ON_REG", "False", "MODEL.FCOS.NMS_TH", "0.5"),
)


def made_state(num_convs: int = 2, p6_channels: int = 64) -> dict[str, Tensor]:
    """A ResNet-18, a neck of 64 channels and a head of 3 classes under mmdetection's names."""
    body = torchvision.models.resnet18().state_dict()
    state = {f"backbone.{key}": x for key, x in body.items() if not key.startswith("fc.")}

    def conv(name: str, inputs: int, outputs: int, side: int, bias: bool = True) -> None:
        weight = torch.randn(outputs, inputs, side, side) / (inputs * side * side) ** 0.5
        state[f"{name}.weight"] = weight
        if bias:
            state[f"{name}.bias"] = 0.1 * torch.randn(outputs)

    for i, channels in enumerate((128, 256, 512)):
        conv(f"neck.lateral_convs.{i}.conv", channels, 64, 1)
    for i in range(5):
        conv(f"neck.fpn_convs.{i}.conv", p6_channels if i == 3 else 64, 64, 3)
    for tower in ("cls", "reg"):
        for i in range(num_convs):
            conv(f"bbox_head.{tower}_convs.{i}.conv", 64, 64, 3, bias=False)
            state[f"bbox_head.{tower}_convs.{i}.gn.weight"] = 1 + 0.1 * torch.randn(64)
            state[f"bbox_head.{tower}_convs.{i}.gn.bias"] = 0.1 * torch.randn(64)
    for layer, outputs in (("cls", 3), ("reg", 4), ("centerness", 1)):
        conv(f"bbox_head.conv_{layer}", 64, outputs, 3)
    for i in range(5):
        state[f"bbox_head.scales.{i}.scale"] = torch.tensor(0.5 + 0.2 * i)
    return state


def features_by_hand(state: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """P3 to P7: laterals, the coarser added, 3x3 convolutions; P6 from P5, P7 from its ReLU."""
    body = torchvision.models.resnet18().eval()
    weights = {k.removeprefix("backbone."): x for k, x in state.items() if "backbone." in k}
    body.load_state_dict(weights, strict=False)
    x = body.maxpool(body.relu(body.bn1(body.conv1(image))))
    stages = []
    for layer in (body.layer1, body.layer2, body.layer3, body.layer4):
        x = layer(x)
        stages.append(x)

    def conv(name: str, x: Tensor, **options: int) -> Tensor:
        return F.conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], **options)

    laterals = [conv(f"neck.lateral_convs.{i}", x) for i, x in enumerate(stages[1:])]
    for i in (1, 0):
        laterals[i] = laterals[i] + F.interpolate(laterals[i + 1], scale_factor=2.0)
    levels = [conv(f"neck.fpn_convs.{i}", x, padding=1) for i, x in enumerate(laterals)]
    levels.append(conv("neck.fpn_convs.3", levels[-1], stride=2, padding=1))
    levels.append(conv("neck.fpn_convs.4", levels[-1].relu(), stride=2, padding=1))
    return levels


def detections_by_hand(
    state: dict[str, Tensor], image: Tensor, norm_on_bbox: bool, centerness_on_reg: bool, iou: float
) -> dict[int, tuple[Tensor, Tensor]]:
    """Boxes and scores of each class, the best first, point by point."""

    def tower(name: str, x: Tensor) -> Tensor:
        i = 0
        while f"bbox_head.{name}_convs.{i}.conv.weight" in state:
            block = f"bbox_head.{name}_convs.{i}"
            x = F.conv2d(x, state[f"{block}.conv.weight"], padding=1)
            x = F.group_norm(x, 32, state[f"{block}.gn.weight"], state[f"{block}.gn.bias"]).relu()
            i += 1
        return x

    def layer(name: str, x: Tensor) -> Tensor:
        key = f"bbox_head.conv_{name}"
        return F.conv2d(x, state[f"{key}.weight"], state[f"{key}.bias"], padding=1)[0]

    height, width = image.shape[-2:]
    found: dict[int, list[tuple[list[float], float]]] = {0: [], 1: [], 2: []}
    for level, x in enumerate(features_by_hand(state, image)):
        of_class, of_box = tower("cls", x), tower("reg", x)
        scores = layer("cls", of_class).sigmoid()
        centerness = layer("centerness", of_box if centerness_on_reg else of_class).sigmoid()
        distances = state[f"bbox_head.scales.{level}.scale"] * layer("reg", of_box)
        distances = distances.relu() * STRIDES[level] if norm_on_bbox else distances.exp()
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                left, top, right, bottom = distances[:, row, column].tolist()
                px, py = (column + 0.5) * STRIDES[level], (row + 0.5) * STRIDES[level]
                box = [px - left, py - top, px + right, py + bottom]
                box = [min(max(v, 0.0), (width, height)[i % 2]) for i, v in enumerate(box)]
                for k in range(3):
                    if scores[k, row, column] > 0.05:
                        score = scores[k, row, column] * centerness[0, row, column]
                        found[k].append((box, score.item()))
    kept = {}
    for k, candidates in found.items():
        boxes = torch.tensor([box for box, _ in candidates]).reshape(-1, 4)
        scores = torch.tensor([score for _, score in candidates])
        keep = torchvision.ops.nms(boxes, scores, iou)
        kept[k] = (boxes[keep], scores[keep])
    return kept


def detector(*opts: str) -> nn.Module:
    return model_zoo.get_model("Recipes/R18-Scratch", [*MODEL, *opts]).eval()


def load(model: nn.Module, tmp_path, state: dict[str, Tensor], config: str | None) -> object:
    meta = {} if config is None else {"meta": {"config": config, "CLASSES": ("a", "b", "c")}}
    torch.save({"state_dict": state, **meta}, tmp_path / "fcos.pth")
    checkpointer = FCOSCheckpointer(model)
    checkpointer.load(str(tmp_path / "fcos.pth"), checkpointables=[])
    return checkpointer.report


@pytest.mark.parametrize("tricks", [True, False])
def test_its_boxes(tmp_path, tricks):
    state = made_state()
    model = detector(*(() if tricks else PLAIN), "MODEL.FCOS.POST_NMS_TOPK_TEST", "10000")
    report = load(model, tmp_path, state, TRICKS if tricks else CAFFE)
    assert report.origin == "mmdetection FCOS" and report.complete and len(report.notes) == 1
    image = torch.randint(0, 256, (3, 128, 128))
    x = (image[None] - torch.tensor([102.9801, 115.9465, 122.7717])[:, None, None]).float()
    with torch.no_grad():
        found = model([{"image": image}])[0]["instances"]
        expected = detections_by_hand(state, x, tricks, tricks, 0.6 if tricks else 0.5)
    num = 0
    for k, (boxes, scores) in expected.items():
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, scores = boxes[has_area], scores[has_area]
        of_class = found[found.pred_classes == k]
        num += len(boxes)
        torch.testing.assert_close(of_class.pred_boxes.tensor, boxes, rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(of_class.scores, scores.sqrt(), rtol=1e-4, atol=1e-5)
    assert num > 20


def test_other_settings_are_said(tmp_path):
    notes = "\n".join(load(detector(*PLAIN), tmp_path, made_state(), TRICKS).notes)
    for name in ("USE_RELU", "not MODEL.FCOS.NORM_REG_TARGETS", "CENTERNESS_ON_REG"):
        assert name in notes
    assert "Converted/mmdetection-R50.yaml" in notes
    others = TRICKS.replace("to_rgb=False", "bgr_to_rgb=True").replace("102.9801", "103.53")
    notes = "\n".join(load(detector(), tmp_path, made_state(), others).notes)
    assert "is BGR, but these weights were made for RGB" in notes and "[103.53, 115.947" in notes
    assert len(load(detector(), tmp_path, made_state(), None).notes) == 1


def test_p6_from_the_body_or_from_a_lateral(tmp_path):
    state = made_state(p6_channels=512)
    assert load(detector("MODEL.FCOS.TOP_LEVELS_FROM", "C5"), tmp_path, state, TRICKS).complete, (
        "add_extra_convs='on_input'"
    )
    lateral = TRICKS.replace("on_output", "on_lateral")
    with pytest.raises(ValueError, match=r"fcos.pth .mmdetection FCOS.: its P6 .*on_lateral"):
        load(detector(), tmp_path, made_state(), lateral)
