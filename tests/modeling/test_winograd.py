"""Winograd's convolutions against direct ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.modeling.folding import fold_batch_norms
from fcos_d2.modeling.head import FCOSHead
from fcos_d2.modeling.winograd import WinogradConv2d, transform_kernels, use_winograd

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def conv3x3(in_channels: int, out_channels: int, **options) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, **options)


def exact(conv: nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if conv.bias is None else conv.bias.double()
    return F.conv2d(x.double(), conv.weight.double(), bias, padding=1)


def test_a_tile_on_paper():
    # Ones all over: a cell sums nine inputs, of which zeros are 3 at a border, 5 in a corner.
    conv = conv3x3(1, 1)
    nn.init.ones_(conv.weight)
    nn.init.constant_(conv.bias, 10.0)
    out = WinogradConv2d(conv, min_cells=0)(torch.ones(1, 1, 4, 4))
    expected = [[14, 16, 16, 14], [16, 19, 19, 16], [16, 19, 19, 16], [14, 16, 16, 14]]
    torch.testing.assert_close(out[0, 0], torch.tensor(expected).float(), atol=1e-5, rtol=0)


def test_transformed_kernels_on_paper():
    # The centre tap is the middle of (0, 1, 0) in both directions: its transform is
    # (0, -1/6, 1/6, 1/12, -1/12, 0) times itself.
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 1, 1] = 1
    side = torch.tensor([0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0])
    factors = transform_kernels(kernel)
    assert factors.shape == (36, 1, 1)
    torch.testing.assert_close(factors.view(6, 6), side[:, None] * side)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_images", [0, 1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (4, 4), (5, 8), (13, 7), (16, 23)])
def test_any_size(size, num_images, layout):
    conv = conv3x3(6, 10).to(memory_format=layout)
    x = torch.randn(num_images, 6, *size).contiguous(memory_format=layout)
    before = x.clone()
    out = WinogradConv2d(conv, min_cells=0)(x)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out.double(), exact(conv, x), atol=1e-5, rtol=1e-5)
    assert torch.equal(x, before)


def test_the_channels_of_a_tower():
    """Errors as the paper's: a few times those of the direct convolution, far below 1e-4."""
    conv = conv3x3(256, 256, bias=False)
    nn.init.kaiming_normal_(conv.weight, a=1)  # outputs of the size of the inputs, 1
    x = torch.randn(1, 256, 19, 21)
    torch.testing.assert_close(WinogradConv2d(conv)(x).double(), exact(conv, x), atol=1e-4, rtol=0)


def test_a_view_with_gaps():
    conv, x = conv3x3(4, 4), torch.randn(1, 9, 20, 30)[:, 1::2, 3:16, ::2]
    out = WinogradConv2d(conv, min_cells=0)(x)
    torch.testing.assert_close(out.double(), exact(conv, x), atol=1e-5, rtol=1e-5)


def test_small_maps_are_convolved_directly():
    conv = conv3x3(4, 4)
    layer = WinogradConv2d(conv, min_cells=30)
    below, at = torch.randn(1, 4, 1, 29), torch.randn(1, 4, 5, 6)
    assert torch.equal(layer(below), conv(below))
    layer.kernels.zero_()
    assert (layer(at) == conv.bias[:, None, None]).all()


def test_the_weights_in_a_checkpoint_stay_the_only_ones():
    assert [*WinogradConv2d(conv3x3(4, 4)).state_dict()] == ["conv.weight", "conv.bias"]


HEADS = [
    {"norm": "GN"},
    {"norm": "BN"},
    {"norm": "none"},
    {"norm": "GN", "num_share_convs": 2},
    {"norm": "BN", "num_share_convs": 2, "deformable_last_conv": True},
]


def random_head(**options) -> FCOSHead:
    """Three levels of 64 channels, with weights of a trained head's scale and norms in use."""
    head = FCOSHead(in_channels=64, num_classes=5, num_levels=3, **options).eval()
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return head


@pytest.mark.parametrize("options", HEADS, ids=lambda x: "-".join(map(str, x.values())))
def test_whole_heads(options):
    head = random_head(**options)
    fast = fold_batch_norms(head)
    use_winograd(fast, min_cells=20, min_channels=64)
    towers = (fast.cls_tower, fast.bbox_tower, fast.share_tower)
    kinds = [type(layer) for tower in towers for layer in tower]
    shared, deformable = options.get("num_share_convs", 0), options.get("deformable_last_conv", 0)
    assert kinds.count(WinogradConv2d) == 8 + shared - 2 * deformable
    assert nn.Conv2d not in kinds
    features = [torch.randn(2, 64, *size) for size in ((17, 22), (9, 11), (3, 5))]
    expected = head.double()([x.double() for x in features])
    for fields in zip(fast(features), expected, strict=True):
        for a, b in zip(*fields, strict=True):
            torch.testing.assert_close(a.double(), b, atol=1e-4, rtol=0)


SMALL = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.FCOS.NUM_CLS_CONVS", "1"]
SMALL += ["MODEL.FCOS.NUM_BOX_CONVS", "1", "MODEL.DEVICE", "cpu"]
WIDE = [*SMALL, "MODEL.FPN.OUT_CHANNELS", "192"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A detector with 192 channels that finds a lot, with scores far apart."""
    torch.manual_seed(1)
    model = model_zoo.get_model("Recipes/R18-Scratch", WIDE)
    head = model.proposal_generator.fcos_head
    nn.init.normal_(head.cls_logits.weight, std=1.0)
    nn.init.constant_(head.cls_logits.bias, -1.0)
    nn.init.constant_(head.bbox_pred.bias, 2.0)
    folder = tmp_path_factory.mktemp("weights")
    FCOSCheckpointer(model, str(folder)).save("model")
    return str(folder / "model.pth")


def test_detections_of_the_predictor(weights):
    image = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    plain = Predictor("Recipes/R18-Scratch", weights, opts=WIDE)
    fast = Predictor("Recipes/R18-Scratch", weights, winograd=True, opts=WIDE)
    kinds = [[type(x) for x in predictor.model.modules()] for predictor in (plain, fast)]
    assert [x.count(WinogradConv2d) for x in kinds] == [0, 2]
    layer = fast.model.proposal_generator.fcos_head.cls_tower[0]
    expected, found = plain(image), fast(image)
    assert len(expected) > 10
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=0)
    assert torch.equal(found.pred_classes, expected.pred_classes)
    boxes = (x.pred_boxes.tensor for x in (found, expected))
    torch.testing.assert_close(*boxes, atol=1e-2, rtol=1e-4)
    layer.kernels.zero_()  # and it was these that they came from
    assert not torch.allclose(fast(image).scores[:10], expected.scores[:10], atol=1e-2)


def test_options_that_exclude_each_other(weights):
    for options in ({"compile": True}, {"precision": "bf16"}):
        with pytest.raises(ValueError, match="winograd needs precision 'fp32' and compile off"):
            Predictor("Recipes/R18-Scratch", weights, winograd=True, opts=WIDE, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1},
        {"stride": 2},
        {"dilation": 2},
        {"groups": 2},
        {"padding": 0},
        {"padding_mode": "reflect"},
    ],
    ids=str,
)
def test_other_convolutions_are_refused(options):
    conv = nn.Conv2d(4, 4, **{"kernel_size": 3, "padding": 1, **options})
    with pytest.raises(ValueError, match="needs a Conv2d of kernel 3, stride 1, .* got Conv2d"):
        WinogradConv2d(conv)


def test_other_tensors_are_refused():
    with pytest.raises(ValueError, match="got weights in torch.float64 on 'cpu': use the model"):
        WinogradConv2d(conv3x3(4, 4).double())
    with pytest.raises(ValueError, match="got weights in torch.float32 on 'meta': use the model"):
        WinogradConv2d(conv3x3(4, 4, device="meta"))


def test_heads_that_would_not_profit_are_refused():
    with pytest.raises(ValueError, match="of 192 or more channels .* have none"):
        use_winograd(random_head())
