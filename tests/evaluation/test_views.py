"""Several views of an image, with a detector that finds bright spots, and with a real one."""

import pytest
import torch
from bright_spots import BrightSpots, detections, picture
from detectron2.modeling import build_model
from detectron2.structures import Instances
from tiny_run import make_tiny_coco, tiny_command, train_request
from torch import nn

from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.config import get_cfg
from fcos_d2.data.augmentation import ResizeShortestEdge
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.engine import Trainer, run, run_of
from fcos_d2.evaluation import views
from fcos_d2.evaluation.slicing import Region, Slicing, merge
from fcos_d2.evaluation.tta import FlipsAndScales
from fcos_d2.evaluation.views import MultiViewModel, ViewSettings, selection_limits


def mapper_to(short_edge, max_size=10000):
    resize = ResizeShortestEdge(short_edge, max_size, "choice")
    return FCOSDatasetMapper(is_train=False, augmentations=[resize], image_format="BGR")


def look(image, *short_edges, slicing=None, flip=False, nms_thresh=0.6, **inputs):
    """Boxes (rounded, px), scores and classes, best first; and the detector."""
    model = MultiViewModel(
        model=BrightSpots(),
        mappers=[mapper_to(short_edge) for short_edge in short_edges],
        slicing=slicing,
        flip=flip,
        nms_thresh=nms_thresh,
        max_detections=100,
    ).eval()
    with torch.no_grad():
        found = model([{"image": image, **inputs}])[0]["instances"]
    return found, model.model


def boxes_of(found):
    return sorted(tuple(box) for box in found.pred_boxes.tensor.round().int().tolist())


SPOTS = [(4, 6, 24, 16), (90, 30, 110, 50), (150, 70, 170, 90), (193, 92, 200, 100)]


def test_slices_lie_where_they_were_cut():
    """Tiles of 60 px are enlarged to 120: boxes come back to px of the image."""
    slicing = Slicing(60, 0.4, full_image=False)
    found, model = look(picture((100, 200), *SPOTS), 120, slicing=slicing)
    assert boxes_of(found) == sorted(SPOTS)
    assert found.image_size == (100, 200)
    # Rows: 100 - 60 = 40 px are two steps of at most 36; columns: 140 px are four. 15 tiles, by 8.
    assert [len(batch) for batch in model.batches] == [8, 7]
    assert {size for batch in model.batches for size in batch} == {(120, 120)}


def test_the_whole_image_finds_what_no_tile_holds():
    """An object of 150 px, tiles of 60: all parts lie within the whole, so it alone is left."""
    large = (20, 30, 170, 70)
    image = picture((100, 200), large)
    found, model = look(image, 100, slicing=Slicing(60, 0.2))
    assert boxes_of(found) == [large]
    assert model.batches[-1] == [(100, 200)]  # not in a batch with tiles
    found, _ = look(image, 100, slicing=Slicing(60, 0.2, full_image=False))
    assert len(found) > 1


def test_tiny_objects_vanish_in_a_shrunk_image():
    """2 px at an eighth of the size leave 1/16 of their brightness in a pixel; tiles keep all."""
    tiny = (401, 401, 403, 403)
    image = picture((800, 800), tiny)
    assert boxes_of(look(image, 100)[0]) == []
    assert boxes_of(look(image, 100, slicing=Slicing(100))[0]) == [tiny]


def test_merging_by_hand():
    """Two tiles of 100 px that share 40 .. 100 of a row of 140 px.

    The second box of the right tile overlaps the first of the left one by 19 / 21 = 0.905 > 0.6:
    it goes; the third, of another class, stays. The fourth, [40, 50, 60, 70], is cut at x = 40, and
    the left tile has all of it. The left tile's [80, 80, 100, 90] is cut, and nobody has more.
    """
    left = detections([60, 0, 80, 20, 0.9, 0], [20, 50, 60, 70, 0.5, 1], [80, 80, 100, 90, 0.3, 0])
    right = detections([61, 0, 81, 20, 0.8, 0], [60, 0, 80, 20, 0.7, 1], [40, 50, 60, 70, 0.6, 1])
    found = {Region(0, 0, 100, 100): left, Region(40, 0, 140, 100): right}
    merged = merge(found, (100, 140), nms_thresh=0.6, max_detections=0)
    expected = [[60, 0, 80, 20], [60, 0, 80, 20], [20, 50, 60, 70], [80, 80, 100, 90]]
    assert merged.boxes.tolist() == expected
    torch.testing.assert_close(merged.scores, torch.tensor([0.9, 0.7, 0.5, 0.3]))
    assert merged.classes.tolist() == [0, 1, 1, 0]
    assert len(merge(found, (100, 140), nms_thresh=0.6, max_detections=2).boxes) == 2


@pytest.mark.parametrize("slicing", [None, Slicing(60, 0.4)])
def test_flips_and_scales_map_exactly(slicing):
    """Twice, three times and four times the size, mirrored, too: the same boxes and scores."""
    image = picture((100, 200), *SPOTS)
    found, model = look(image, 200, 300, 400, flip=True, slicing=slicing)
    assert boxes_of(found) == sorted(SPOTS)
    torch.testing.assert_close(
        found.pred_boxes.tensor, found.pred_boxes.tensor.round(), atol=0.4, rtol=0
    )
    torch.testing.assert_close(found.scores, torch.ones(4))
    if slicing is None:
        # An image and its mirror image go together, sizes do not.
        assert model.batches == [[(n, 2 * n)] * 2 for n in (200, 300, 400)]


def test_mirror_image_by_hand():
    """Without resizing nothing is rounded: both views give exactly the same boxes."""
    found, _ = look(picture((40, 70), (3, 5, 13, 15)), 40, flip=True)
    assert found.pred_boxes.tensor.tolist() == [[3, 5, 13, 15]]


def test_input_is_left_alone_and_the_asked_size_comes_out():
    image = picture((100, 200), SPOTS[0])
    before = image.clone()
    found, _ = look(image, 200, flip=True, height=50, width=400)
    assert found.image_size == (50, 400)
    assert boxes_of(found) == [(8, 3, 48, 8)]
    assert torch.equal(image, before)


def test_nothing_found():
    found, _ = look(picture((100, 200)), 50, 100, flip=True, slicing=Slicing(60))
    assert len(found) == 0 and found.pred_boxes.tensor.shape == (0, 4)


def test_limits_of_the_answer():
    image = picture((40, 200), *[(10 * i, 4, 10 * i + 5, 9) for i in range(18)])
    model = MultiViewModel(
        model=BrightSpots(),
        mappers=[mapper_to(40)],
        slicing=None,
        flip=False,
        nms_thresh=0.6,
        max_detections=4,
    )
    assert len(model([{"image": image}])[0]["instances"]) == 4
    # So many for each tile: 40 px wide, six of them.
    model.slicing = Slicing(40, 0.2, full_image=False)
    assert len(model([{"image": image}])[0]["instances"]) == 18
    model.min_scores = (1.1,)
    assert len(model([{"image": image}])[0]["instances"]) == 0


def test_masks_are_refused():
    class WithMasks(nn.Module):
        def forward(self, batched_inputs):
            found = Instances((40, 40), pred_masks=torch.zeros(0, 40, 40))
            return [{"instances": found} for _ in batched_inputs]

    model = MultiViewModel(
        model=WithMasks(),
        mappers=[mapper_to(40)],
        slicing=None,
        flip=True,
        nms_thresh=0.5,
        max_detections=100,
    )
    with pytest.raises(ValueError, match="merge boxes only, but the model gives pred_masks"):
        model([{"image": picture((40, 40))}])


def test_settings_of_both_kinds_of_config():
    cfg = get_cfg()
    assert run_of(cfg).views == ViewSettings()
    assert not ViewSettings().several
    cfg.TEST.SLICE.SIZE, cfg.TEST.SLICE.FULL_IMAGE = 320, False
    cfg.TEST.AUG.ENABLED, cfg.TEST.AUG.MIN_SIZES, cfg.TEST.AUG.FLIP = True, (300, 400), False
    expected = ViewSettings(Slicing(320, 0.2, False), FlipsAndScales((300, 400), 4000, False))
    assert run_of(cfg).views == expected
    lazy = model_zoo.get_config("lazy/FCOS-RT/R50")
    lazy.train.slice = {"size": 320, "overlap": 0.2, "full_image": False}
    lazy.train.tta = {"enabled": True, "min_sizes": [300, 400], "max_size": 4000, "flip": False}
    assert run_of(lazy).views == expected
    lazy.train.slice.size, lazy.train.tta.enabled = 0, False
    assert run_of(lazy).views == ViewSettings()
    del lazy.train.slice, lazy.train.tta  # detectron2's configs have neither
    assert run_of(lazy).views == ViewSettings()


@pytest.mark.parametrize(
    ("name", "limits"),
    [("FCOS/R50-1x", (0.6, 100)), ("TwoStage/FasterRCNN-R50-FCOS-1x", (0.5, 100))],
)
def test_limits_are_those_of_the_last_stage(name, limits):
    cfg = model_zoo.get_config(name, ["MODEL.DEVICE", "meta"])
    with torch.device("meta"):
        assert selection_limits(build_model(cfg)) == limits


def test_one_view_leaves_model_and_mapper_alone():
    model, mapper = BrightSpots(), mapper_to(40)
    assert ViewSettings().wrap(model, mapper) is model
    assert ViewSettings().loader_mapper(mapper) is mapper


@pytest.fixture
def looks(monkeypatch):
    """For each image that is looked at, the numbers of its regions and of the views of each."""
    numbers, votes = [], []

    def vote(found, nms_thresh):
        votes.append(len(found))
        return original_vote(found, nms_thresh)

    def merge(found, *arguments, **options):
        assert len(set(votes)) == 1
        numbers.append((len(found), votes[0]))
        votes.clear()
        return original_merge(found, *arguments, **options)

    original_vote, original_merge = views.vote, views.merge
    monkeypatch.setattr(views, "vote", vote)
    monkeypatch.setattr(views, "merge", merge)
    return numbers


def test_yaml_evaluation(tmp_path, looks):
    """After training, and of the checkpoint alone: 2 x 2 tiles of 40 of 64 px, and the whole."""
    overrides = {"MODEL.FCOS.INFERENCE_TH_TEST": 0.0, "TEST.SLICE.SIZE": 40}
    overrides |= {"TEST.AUG.ENABLED": True, "TEST.AUG.MIN_SIZES": "(40,48)", "num_images": 2}
    overrides |= {"MODEL.FCOS.PRE_NMS_TOPK_TEST": 10, "SOLVER.IMS_PER_BATCH": 1}

    def start(output, *flags, **more):
        command = tiny_command(tmp_path / "data", tmp_path / output, 2, *flags, **overrides, **more)
        return run(train_request(command))

    results = start("out")
    assert looks == [(5, 4)] * 2
    again = start("eval", "--eval-only", **{"MODEL.WEIGHTS": tmp_path / "out" / "model_final.pth"})
    assert looks == [(5, 4)] * 4
    assert again["bbox"] == pytest.approx(results["bbox"], nan_ok=True, abs=0)


def test_lazy_evaluation(tmp_path, looks):
    json_file, images = make_tiny_coco(tmp_path / "data", num_images=2)
    generator = "model.proposal_generator"
    overrides = [
        f"train.output_dir={tmp_path / 'out'}",
        f"train.init_checkpoint={tmp_path / 'model.pth'}",
        "train.device=cpu",
        "train.slice.size=40",
        "train.slice.full_image=False",
        "train.tta.enabled=True",
        "train.tta.min_sizes=[48]",
        "dataloader.test.num_workers=0",
        "dataloader.test.mapper.augmentations.0.short_edge_length=64",
        "model.backbone.out_channels=32",
        f"{generator}.head.in_channels=32",
        f"{generator}.head.num_cls_convs=1",
        f"{generator}.head.num_box_convs=1",
    ]
    one_class = [f"{generator}.head.num_classes=1"]
    model = Trainer.build_model(model_zoo.get_config("lazy/FCOS-RT/R50", overrides + one_class))
    FCOSCheckpointer(model, str(tmp_path), class_names=["white thing"]).save("model")
    command = ["--config-file", "lazy/FCOS-RT/R50", "--eval-only"]
    command += ["--val-json", json_file, "--val-images", images, *overrides]
    run(train_request(command))
    assert looks == [(4, 2)] * 2
