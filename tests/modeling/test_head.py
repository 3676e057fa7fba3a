"""The head: towers and predictors."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from fcos_d2.config import get_cfg
from fcos_d2.modeling.head import HEAD_NORMS, FCOSHead
from fcos_d2.modeling.layers import DeformConv, Scale

SIZES = [(6, 8), (3, 4), (2, 2)]


def build(**options) -> FCOSHead:
    """A head for three levels of 32 channels, two convolutions in each private tower."""
    defaults = {"in_channels": 32, "num_classes": 5, "num_levels": 3}
    return FCOSHead(**{**defaults, "num_cls_convs": 2, "num_box_convs": 2, **options})


def random_features(num_images: int = 2) -> list[Tensor]:
    return [torch.randn(num_images, 32, *size) for size in SIZES]


def enlarge_weights(head: FCOSHead) -> None:
    """So that outputs differ clearly: the initial weights make all of them alike."""
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.2)


@pytest.mark.parametrize("deformable", [False, True])
@pytest.mark.parametrize("norm", HEAD_NORMS)
def test_shapes(norm, deformable):
    head = build(norm=norm, num_share_convs=1, deformable_last_conv=deformable)
    outputs = head(random_features())
    for field, channels in zip(outputs, (5, 4, 1, 32), strict=True):
        assert [tuple(x.shape) for x in field] == [(2, channels, *size) for size in SIZES]
    assert all((x >= 0).all() for x in outputs.ltrb_in_strides)


def test_one_location_on_paper():
    # No towers, one cell whose feature is 1: only the centre tap of a kernel sees it.
    head = build(in_channels=1, num_classes=1, norm="none", num_cls_convs=0, num_box_convs=0)
    for predictor in (head.cls_logits, head.bbox_pred, head.ctrness):
        nn.init.zeros_(predictor.weight)
    head.cls_logits.weight.data[0, 0, 1, 1] = 2.0
    head.cls_logits.bias.data[:] = -3.0
    head.bbox_pred.weight.data[:, 0, 1, 1] = torch.tensor([1.0, 2.0, -3.0, 4.0])
    head.ctrness.bias.data[:] = 0.5
    head.scales[0].scale.data[:] = 10.0
    outputs = head([torch.ones(1, 1, 1, 1)])
    assert outputs.cls_logits[0].item() == 2 * 1 - 3
    assert outputs.ltrb_in_strides[0].flatten().tolist() == [10, 20, 0, 40]
    assert outputs.quality_logits[0].item() == 0.5


def test_exponential_regression():
    relu, exp = build(relu_regression=True), build(relu_regression=False)
    exp.load_state_dict(relu.state_dict())
    nn.init.constant_(relu.bbox_pred.bias, 5.0)
    nn.init.constant_(exp.bbox_pred.bias, 5.0)
    features = random_features()
    distances = relu(features).ltrb_in_strides
    assert all((x > 0).all() for x in distances)
    for before, after in zip(distances, exp(features).ltrb_in_strides, strict=True):
        torch.testing.assert_close(after, before.exp())


def test_exponential_regression_does_not_overflow_in_half_precision():
    head = build(relu_regression=False, norm="none", use_scale=False)
    nn.init.constant_(head.bbox_pred.bias, 12.0)
    with torch.autocast("cpu", dtype=torch.float16), torch.no_grad():
        distances = head(random_features()).ltrb_in_strides[0]
    # exp(12) = 162755, and float16 ends at 65504.
    assert distances.dtype == torch.float32
    assert distances.isfinite().all()
    assert distances.mean().item() == pytest.approx(162755, rel=0.1)


@pytest.mark.parametrize("relu_regression", [True, False])
def test_regression_in_pixels_is_divided_by_the_stride(relu_regression):
    strides, pixels = (
        build(relu_regression=relu_regression),
        build(relu_regression=relu_regression, pixel_strides=[8, 16, 32]),
    )
    pixels.load_state_dict(strides.state_dict())
    for head in (strides, pixels):
        nn.init.constant_(head.bbox_pred.bias, 3.0)
    features = random_features()
    outputs = zip(strides(features).ltrb_in_strides, pixels(features).ltrb_in_strides, strict=True)
    for (in_strides, in_pixels), stride in zip(outputs, (8, 16, 32), strict=True):
        torch.testing.assert_close(in_pixels * stride, in_strides)


def test_scales_are_of_one_level_and_of_the_boxes_only():
    head = build()
    nn.init.constant_(head.bbox_pred.bias, 1.0)
    features = random_features()
    before = head(features)
    head.scales[1].scale.data.fill_(3.0)
    after = head(features)
    for level in range(3):
        factor = 3.0 if level == 1 else 1.0
        expected = before.ltrb_in_strides[level] * factor
        torch.testing.assert_close(after.ltrb_in_strides[level], expected)
        assert after.cls_logits[level].equal(before.cls_logits[level])
        assert after.quality_logits[level].equal(before.quality_logits[level])


def test_without_scales_there_are_no_parameters_for_them():
    head = build(use_scale=False)
    assert not [key for key in head.state_dict() if key.startswith("scales")]
    with_scales = build()
    assert [type(x) for x in with_scales.scales] == [Scale] * 3
    state = {k: v for k, v in with_scales.state_dict().items() if not k.startswith("scales")}
    head.load_state_dict(state)
    features = random_features()
    for actual, expected in zip(head(features)[1], with_scales(features)[1], strict=True):
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize(("on_box_branch", "tower"), [(True, "bbox_tower"), (False, "cls_tower")])
def test_the_quality_predictor_sits_on_one_branch(on_box_branch, tower):
    head = build(quality_on_box_branch=on_box_branch)
    sum(x.sum() for x in head(random_features()).quality_logits).backward()
    for name in ("cls_tower", "bbox_tower"):
        gradients = [parameter.grad for parameter in getattr(head, name).parameters()]
        assert all((x is not None) == (name == tower) for x in gradients)


def test_box_features_are_those_of_the_box_branch():
    head = build()
    outputs = head(random_features())
    for features, logits in zip(outputs.box_features, outputs.quality_logits, strict=True):
        torch.testing.assert_close(head.ctrness(features), logits)


def test_without_a_quality_branch():
    head = build(quality_branch=False)
    assert not [key for key in head.state_dict() if "ctrness" in key]
    with_branch = build()
    head.load_state_dict({k: x for k, x in with_branch.state_dict().items() if "ctrness" not in k})
    features = random_features()
    outputs, expected = head(features), with_branch(features)
    assert outputs.quality_logits == []
    assert outputs.flattened()[2] is None and outputs.of_image(1).quality_logits == []
    for field, theirs in zip(outputs[:2], expected[:2], strict=True):
        assert all(x.equal(y) for x, y in zip(field, theirs, strict=True))


def test_views_of_the_outputs():
    outputs = build()(random_features())
    cls_logits, ltrb, quality_logits = outputs.flattened()
    locations = sum(height * width for height, width in SIZES)
    shapes = [tuple(x.shape) for x in (cls_logits, ltrb, quality_logits)]
    assert shapes == [(2, locations, 5), (2, locations, 4), (2, locations)]
    # Row 1 and column 2 of the second level, whose rows have 4 cells.
    index = SIZES[0][0] * SIZES[0][1] + 1 * 4 + 2
    assert cls_logits[1, index].equal(outputs.cls_logits[1][1, :, 1, 2])
    assert quality_logits[1, index].equal(outputs.quality_logits[1][1, 0, 1, 2])
    image = outputs.of_image(1)
    assert torch.cat(image.ltrb_in_strides).equal(ltrb[1])
    assert torch.cat(image.quality_logits).equal(quality_logits[1])
    assert [x.shape[1] for x in image.box_features] == [32] * 3


def test_the_shared_tower_runs_before_both_branches():
    head = build(num_share_convs=2, num_cls_convs=0, num_box_convs=0)
    assert (len(head.share_tower), len(head.cls_tower), len(head.bbox_tower)) == (6, 0, 0)
    features = random_features()
    outputs = head(features)
    shared = head.share_tower(features[1], 1)
    torch.testing.assert_close(outputs.cls_logits[1], head.cls_logits(shared))
    torch.testing.assert_close(outputs.quality_logits[1], head.ctrness(shared))
    assert outputs.box_features[1].equal(shared)


def test_layers_of_a_tower():
    kinds = {"GN": nn.GroupNorm, "BN": nn.BatchNorm2d, "SyncBN": nn.SyncBatchNorm}
    for norm, kind in kinds.items():
        norms = [x for x in build(norm=norm).cls_tower.modules() if isinstance(x, kind)]
        assert len(norms) == (2 if norm == "GN" else 2 * 3)
    assert len(build(norm="none").cls_tower) == 4
    deformable = build(deformable_last_conv=True, num_share_convs=2)
    for tower in (deformable.cls_tower, deformable.bbox_tower):
        assert [isinstance(tower[i], DeformConv) for i in (0, 3)] == [False, True]
    assert not [x for x in deformable.share_tower if isinstance(x, DeformConv)]


@pytest.mark.parametrize("norm", ["GN", "none"])
def test_images_of_a_batch_do_not_mix(norm):
    head = build(norm=norm)
    enlarge_weights(head)
    features = random_features(num_images=2)
    together = head(features)
    for n in range(2):
        alone = head([x[n : n + 1] for x in features])
        for field, field_alone in zip(together, alone, strict=True):
            for x, x_alone in zip(field, field_alone, strict=True):
                torch.testing.assert_close(x[n : n + 1], x_alone, rtol=1e-4, atol=1e-4)


def test_batch_norms_belong_to_levels_not_to_calls():
    head = build(norm="BN").train()
    head(random_features())
    head.eval()
    enlarge_weights(head)
    features = random_features()
    expected = head(features)
    # Fewer levels, or a forward that broke off, must not shift the norms of later calls.
    head(features[:1])
    with pytest.raises(RuntimeError):
        head([features[0], torch.zeros(1, 7, 3, 3), features[2]])
    for before, after in zip(expected.cls_logits, head(features).cls_logits, strict=True):
        assert after.equal(before)
    norms = head.cls_tower[1]
    assert len({norm.running_var.sum().item() for norm in norms}) == 3


def test_initial_weights():
    head = FCOSHead(in_channels=64, num_classes=5, num_levels=3, deformable_last_conv=True)
    for name, module in head.named_modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.std().item() == pytest.approx(0.01, rel=0.1), name
            if name != "cls_logits":
                assert (module.bias == 0).all(), name
    # Kaiming for ReLU: sqrt(2 / (64 * 9)) = 0.0589.
    assert head.cls_tower[9].conv.weight.std().item() == pytest.approx(0.0589, rel=0.02)
    assert [scale.scale.item() for scale in head.scales] == [1, 1, 1]


@pytest.mark.parametrize("prior_prob", [0.01, 0.3])
def test_an_untrained_head_gives_the_prior_probability(prior_prob):
    head = build(prior_prob=prior_prob)
    torch.testing.assert_close(
        head.cls_logits.bias.sigmoid(), torch.full((5,), prior_prob), rtol=1e-5, atol=0
    )


def test_names_follow_the_released_checkpoints():
    children = [name for name, _ in build().named_children()]
    predictors = ["cls_logits", "bbox_pred", "ctrness", "scales"]
    assert children == ["cls_tower", "bbox_tower", "share_tower", *predictors]


def test_from_config():
    cfg = get_cfg()
    cfg.MODEL.FCOS.NUM_CLASSES = 5
    cfg.MODEL.FCOS.NUM_SHARE_CONVS = 1
    cfg.MODEL.FCOS.NUM_CLS_CONVS = 2
    cfg.MODEL.FCOS.NUM_BOX_CONVS = 3
    cfg.MODEL.FCOS.NORM = "BN"
    cfg.MODEL.FCOS.USE_SCALE = False
    cfg.MODEL.FCOS.USE_RELU = False
    cfg.MODEL.FCOS.USE_DEFORMABLE = True
    cfg.MODEL.FCOS.CENTERNESS_ON_REG = False
    cfg.MODEL.FCOS.NORM_REG_TARGETS = False
    cfg.MODEL.FCOS.PRIOR_PROB = 0.1
    actual = FCOSHead(cfg, [ShapeSpec(channels=32, stride=s) for s in (8, 16, 32)])
    expected = build(
        num_share_convs=1,
        num_cls_convs=2,
        num_box_convs=3,
        norm="BN",
        use_scale=False,
        relu_regression=False,
        deformable_last_conv=True,
        quality_on_box_branch=False,
        pixel_strides=[8, 16, 32],
        prior_prob=0.1,
    )
    assert str(actual) == str(expected)
    assert [actual.relu_regression, actual.quality_on_box_branch] == [False, False]
    assert actual.pixel_strides == expected.pixel_strides
    torch.testing.assert_close(actual.cls_logits.bias, expected.cls_logits.bias)


def test_errors():
    with pytest.raises(ValueError, match="norm must be one of.*'none'.*got 'LN'"):
        build(norm="LN")
    with pytest.raises(ValueError, match="divisible by 32, got 48"):
        build(in_channels=48)
    build(in_channels=48, norm="none")


def test_exp_regression_stays_finite():
    head = FCOSHead(in_channels=32, num_classes=1, num_levels=1, relu_regression=False)
    torch.nn.init.constant_(head.bbox_pred.bias, 1000.0)
    assert head([torch.zeros(1, 32, 2, 2)]).ltrb_in_strides[0].isfinite().all()
