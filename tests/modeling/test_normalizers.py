"""What the losses are divided by, alone and shared by several batches."""

import pytest
import torch
from detectron2.structures import Boxes, ImageList, Instances
from detectron2.utils.events import EventStorage
from parts import generator_of
from torch import Tensor

from fcos_d2.modeling import FCOSHead, FCOSProposalGenerator
from fcos_d2.modeling.normalizers import LOSS_NORMALIZERS, LossNormalizers

SIZE = (64, 96)
LEVELS = ["p3", "p4"]


def build(**options) -> FCOSProposalGenerator:
    head = FCOSHead(in_channels=32, num_classes=3, num_levels=2, num_cls_convs=1, num_box_convs=1)
    return generator_of(head, [32], in_features=LEVELS, strides=[8, 16], **options).train()


def random_truth(num_images: int) -> list[Instances]:
    """Three boxes in each image but the second, which has none."""
    result = []
    for n in range(num_images):
        corners = torch.rand(0 if n == 1 else 3, 2, dtype=torch.float64) * 40
        instances = Instances(SIZE)
        instances.gt_boxes = Boxes(torch.zeros(0, 4))
        # `Boxes` makes everything float32, so that the tensor is set afterwards.
        instances.gt_boxes.tensor = torch.cat((corners, corners + 8 + corners.flip(1) / 2), dim=1)
        instances.gt_classes = torch.randint(0, 3, (len(corners),))
        result.append(instances)
    return result


def forward(generator, features: list[Tensor], gt_instances) -> dict[str, Tensor]:
    images = ImageList(torch.zeros(len(gt_instances), 3, *SIZE), [SIZE] * len(gt_instances))
    _, losses = generator(images, dict(zip(LEVELS, features, strict=True)), gt_instances)
    return losses


@pytest.mark.parametrize("options", [{"loss_normalizer": x} for x in LOSS_NORMALIZERS])
@pytest.mark.parametrize("more", [{}, {"assigner": "atss", "cls_loss": "varifocal"}])
def test_four_batches_of_two_equal_one_of_eight(options, more):
    """Losses and gradients, in float64; also the moving mean, which moves once."""
    torch.manual_seed(0)
    whole = build(**options, **more).double()
    parts = build(**options, **more).double()
    parts.load_state_dict(whole.state_dict())
    features = [torch.randn(8, 32, *size, dtype=torch.float64) for size in ((8, 12), (4, 6))]
    gt_instances = random_truth(8)
    expected = forward(whole, features, gt_instances)
    sum(expected.values()).backward()

    pairs = [slice(i, i + 2) for i in range(0, 8, 2)]
    totals = dict.fromkeys(expected, 0.0)
    with parts.shared_normalizers(
        sum(parts.target_sums(SIZE, gt_instances[pair]) for pair in pairs)
    ):
        for pair in pairs:
            losses = forward(parts, [x[pair] for x in features], gt_instances[pair])
            sum(losses.values()).backward()
            totals = {name: totals[name] + loss.detach() for name, loss in losses.items()}
    close = {"rtol": 1e-5, "atol": 1e-12}
    torch.testing.assert_close(totals, {k: x.detach() for k, x in expected.items()}, **close)
    for name, parameter in whole.named_parameters():
        torch.testing.assert_close(parts.get_parameter(name).grad, parameter.grad, **close)
    torch.testing.assert_close(dict(parts.named_buffers()), dict(whole.named_buffers()))


@pytest.mark.parametrize(
    "options", [{}, {"center_sampling_radius": None}, {"assigner": "atss"}], ids=str
)
def test_sums_from_the_ground_truth_are_those_of_the_batch(options):
    generator = build(**options).double()
    seen = []
    generator.loss_normalizers.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    gt_instances = random_truth(3)
    features = [torch.randn(3, 32, *size, dtype=torch.float64) for size in ((8, 12), (4, 6))]
    forward(generator, features, gt_instances)
    assert not generator.assigner.needs_predictions
    torch.testing.assert_close(generator.target_sums(SIZE, gt_instances), seen[0])
    assert seen[0][-1] == 3 * (8 * 12 + 4 * 6)


def test_aligned_sums_need_predictions():
    generator = build(assigner="task_aligned", cls_loss="quality_focal")
    with pytest.raises(ValueError, match="depends on what the model predicts"):
        generator.target_sums(SIZE, random_truth(2))


# --- on paper ---------------------------------------------------------------------------------


def numbers(normalizers: tuple[Tensor, Tensor, Tensor]) -> list[float]:
    return [x.item() for x in normalizers]


@pytest.mark.parametrize(
    ("kind", "aligned", "some", "none"),
    [
        # 4 positives of weight 0.5 among 6 locations; then none. Moving means 90.4 and 81.46.
        ("fg", False, [4, 0.5, 4], [1, 1e-6, 1]),
        ("all", False, [6, 0.5, 4], [6, 1e-6, 1]),
        ("fg", True, [1, 1, 4], [1, 1, 1]),
        ("moving_fg", False, [90.4, 0.5, 4], [81.46, 1e-6, 1]),
        ("moving_fg_shared", False, [90.4] * 3, [81.46] * 3),
    ],
)
def test_kinds(kind, aligned, some, none):
    normalizers = LossNormalizers(kind=kind)
    for sums, expected in (([3, 1, 0.5, 6], some), ([0, 0, 0.0, 6], none)):
        found = normalizers(torch.tensor(sums), LEVELS, aligned)
        assert numbers(found) == pytest.approx(expected)


def test_positives_of_all_shared_batches_are_logged_once():
    normalizers = LossNormalizers(kind="moving_fg")
    with EventStorage() as storage:
        with normalizers.shared(torch.tensor([5.0, 2.0, 1.0, 12.0]), LEVELS):
            inside = [numbers(normalizers(torch.tensor([1.0, 0, 1, 6]), LEVELS)) for _ in range(3)]
        histories = {name: x.values() for name, x in storage.histories().items()}
        assert {name: [x for x, _ in values] for name, values in histories.items()} == {
            "fcos/num_pos": [7],
            "fcos/num_pos_p3": [5],
            "fcos/num_pos_p4": [2],
        }
    assert inside == [pytest.approx([90.7, 1, 7])] * 3  # 0.9 x 100 + 0.1 x 7
    assert numbers(normalizers(torch.tensor([1.0, 0, 1, 6]), LEVELS))[2] == 1, "no longer shared"


def test_an_error_ends_the_sharing():
    normalizers = LossNormalizers(kind="fg")
    with pytest.raises(RuntimeError), normalizers.shared(torch.tensor([5.0, 2, 1, 12]), LEVELS):
        raise RuntimeError
    assert numbers(normalizers(torch.tensor([1.0, 0, 1, 6]), LEVELS)) == [1, 1, 1]
