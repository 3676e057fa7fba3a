from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, pairwise_iou
from PIL import Image
from random_weights import write_detector

from fcos_d2 import Predictor, model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.device import inference_dtype
from fcos_d2.engine import run_of
from fcos_d2.evaluation.slicing import Slicing
from fcos_d2.evaluation.tta import FlipsAndScales
from fcos_d2.evaluation.views import ViewSettings
from fcos_deploy.vision import ORIENTATION_TAG, ImageError

OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A detector whose random head gives a spread of scores on both sides of 0.5."""
    return write_detector(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)


def assert_same(a, b):
    torch.testing.assert_close(a.pred_boxes.tensor, b.pred_boxes.tensor)
    torch.testing.assert_close(a.scores, b.scores)
    assert a.pred_classes.tolist() == b.pred_classes.tolist()


def test_class_names_come_from_the_checkpoint(weights):
    assert Predictor("Recipes/R18-Scratch", weights, opts=OPTS).class_names == ["cat", "dog"]


def test_threshold_reaches_fcos(weights, image):
    """A threshold on the score is the same as dropping what scores less afterwards."""
    opts = [*OPTS, "MODEL.FCOS.POST_NMS_TOPK_TEST", "0"]
    everything, some = (
        Predictor("Recipes/R18-Scratch", weights, confidence_threshold=threshold, opts=opts)(image)
        for threshold in (0, 0.5)
    )
    assert 0 < len(some) < len(everything)
    wanted = everything[everything.scores > 0.5]
    assert_same(*map(by_place, (some, wanted)))


def by_place(found):
    """By class and box: of equal scores rounding decides which comes first."""
    boxes = found.pred_boxes.tensor.double()
    order = np.lexsort([*boxes.mul(100).round().T.numpy(), found.pred_classes.numpy()])
    return found[torch.from_numpy(order)]


def test_threshold_without_a_quality_branch(weights, image):
    """Scores are class probabilities, which nothing is multiplied with."""
    opts = [*OPTS, "MODEL.FCOS.BOX_QUALITY", "none", "MODEL.FCOS.POST_NMS_TOPK_TEST", "0"]
    predictor = Predictor("Recipes/R18-Scratch", weights, confidence_threshold=0.7, opts=opts)
    found = predictor(image)
    assert len(found) > 0 and (found.scores >= 0.7).all()
    predictor.set_threshold(0)
    assert (predictor(image).scores < 0.7).any()


def test_a_threshold_for_each_class(weights, image):
    opts = [*OPTS, "MODEL.FCOS.POST_NMS_TOPK_TEST", "0"]
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=opts)
    everything = predictor(image)
    predictor.set_threshold({"cat": 0.75, "dog": 0.4})
    assert predictor.score_thresholds == (0.75, 0.4)
    lowest = torch.tensor([0.75, 0.4])[everything.pred_classes]
    wanted = everything[everything.scores >= lowest]
    assert set(wanted.pred_classes.tolist()) == {0, 1} and len(wanted) < len(everything)
    assert_same(*map(by_place, (predictor(image), wanted)))


def test_what_goes_takes_no_place_under_the_cap(weights, image):
    opts = [*OPTS, "INPUT.MIN_SIZE_TEST", "96", "MODEL.FCOS.POST_NMS_TOPK_TEST", "400"]
    by_score = Predictor("Recipes/R18-Scratch", weights, opts=opts)(image)
    first = by_score.pred_classes[0].item()
    weak = by_score[by_score.pred_classes != first]
    assert (by_score[:20].pred_classes == first).any() and len(weak) > 20
    thresholds = {"cat": 0.01, "dog": 0.01, ("cat", "dog")[first]: 1}
    opts[-1] = "20"
    capped = Predictor("Recipes/R18-Scratch", weights, opts=opts, confidence_threshold=thresholds)
    assert_same(capped(image), weak[:20])


def test_thresholds_are_for_the_mean_of_views(weights, image):
    tta = ["TEST.AUG.ENABLED", "True", "TEST.AUG.MIN_SIZES", "(96,)"]
    tta += ["MODEL.FCOS.POST_NMS_TOPK_TEST", "0"]
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=[*OPTS, *tta])
    everything = predictor(image)
    thresholds = {"cat": 0.3, "dog": 0.5}
    predictor.set_threshold(thresholds)
    lowest = torch.tensor([0.3, 0.5])[everything.pred_classes]
    wanted = everything[everything.scores >= lowest]
    assert set(wanted.pred_classes.tolist()) == {0, 1} and len(wanted) < len(everything)
    assert_same(*map(by_place, (predictor(image), wanted)))


def test_thresholds_of_the_config(weights, image):
    key = "TEST.SCORE_THRESH"
    plain = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    assert plain.config_thresholds is None and plain.score_thresholds is None
    for value, wanted in ((0.6, (0.6, 0.6)), ([["dog", 0.4], ["cat", 1.0]], (1.0, 0.4))):
        opts = [*OPTS, key, str(value)]
        predictor = Predictor("Recipes/R18-Scratch", weights, opts=opts)
        assert predictor.config_thresholds == predictor.score_thresholds == wanted
        given = Predictor("Recipes/R18-Scratch", weights, confidence_threshold=0.6, opts=opts)
        assert (given.config_thresholds, given.score_thresholds) == (wanted, (0.6, 0.6))
        # What is evaluated knows of none.
        evaluated = model_zoo.get_model("Recipes/R18-Scratch", opts)
        assert evaluated.proposal_generator.test_selection.min_scores is None
    assert_same(given(image), plain(image)[plain(image).scores >= 0.6])
    message = r"score_thresh \(TEST.SCORE_THRESH\): no score threshold for 'cat'"
    with pytest.raises(ValueError, match=message):
        Predictor("Recipes/R18-Scratch", weights, opts=[*OPTS, key, "[['dog', 0.4]]"])


def test_path_and_array_agree(weights, image, tmp_path):
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), image)
    found = predictor(path)
    assert_same(found, predictor(image))
    assert found.image_size == (120, 200)
    boxes = found.pred_boxes.tensor
    assert (boxes[:, 2] <= 200).all() and (boxes[:, 3] <= 120).all() and (boxes >= 0).all()


def test_batch_equals_single_images(weights, image):
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    flipped = np.ascontiguousarray(image[:, ::-1])
    for together, alone in zip(
        predictor.predict_batch([image, flipped]), map(predictor, (image, flipped)), strict=True
    ):
        assert_same(together, alone)


def test_unequal_images_find_together_what_each_finds_alone(weights, image):
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    tall = np.ascontiguousarray(image.transpose(1, 0, 2))
    images = [image, tall, image[:60], tall[::-1], image[:100, :100]]
    for given in (images, tuple(images)):
        together = predictor.predict_batch(given)
        assert [x.image_size for x in together] == [x.shape[:2] for x in images]
        for found, alone in zip(together, map(predictor, images), strict=True):
            assert len(found) > 0
            assert found.pred_classes.tolist() == alone.pred_classes.tolist()
            torch.testing.assert_close(found.scores, alone.scores, atol=1e-4, rtol=0)
            boxes, wanted = found.pred_boxes.tensor, alone.pred_boxes.tensor
            torch.testing.assert_close(boxes, wanted, atol=1e-3, rtol=1e-5)
    assert predictor.predict_batch([]) == []


def test_pillow_images(weights, image, tmp_path):
    """They are RGB; turned as their EXIF says."""
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6  # turn by 90 degrees
    Image.fromarray(image[:, :, ::-1]).save(tmp_path / "a.png", exif=exif)
    given = [Image.fromarray(image[:, :, ::-1]), Image.open(tmp_path / "a.png")]
    upright, turned = predictor.predict_batch(given)
    assert_same(upright, predictor(image))
    assert turned.image_size == (200, 120)
    assert_same(turned, predictor(tmp_path / "a.png"))


def test_nothing_is_found_where_nothing_can_be(weights, shared_dir):
    predictor = Predictor("Recipes/R18-Scratch", weights, confidence_threshold=0, opts=OPTS)
    images = shared_dir / "data" / "hard_inputs" / "images"
    names = ("one_pixel.jpg", "one_pixel.png", "row_2000x1.png", "gray.jpg")
    sliced = Predictor("Recipes/R18-Scratch", weights, slice_size=1000, opts=OPTS)
    for found in (
        predictor.predict_batch([images / x for x in names]),
        [*map(sliced, [images / x for x in names])],
    ):
        assert [len(x) > 0 for x in found] == [False, False, False, True]


def test_yaml_and_python_config_agree(tmp_path, image):
    torch.manual_seed(1)
    model = model_zoo.get_model("FCOS-RT/R50", ["MODEL.DEVICE", "cpu"])
    torch.nn.init.constant_(model.proposal_generator.fcos_head.cls_logits.bias, -1.0)
    torch.nn.init.constant_(model.proposal_generator.fcos_head.bbox_pred.bias, 2.0)
    FCOSCheckpointer(model, str(tmp_path)).save("model")
    options = {"weights": str(tmp_path / "model.pth"), "device": "cpu"}
    by_yaml = Predictor("FCOS-RT/R50", **options)
    by_python = Predictor("lazy/FCOS-RT/R50", **options)
    assert by_yaml.class_names == by_python.class_names
    assert by_yaml.class_names[:2] == ["person", "bicycle"]
    found = by_yaml(image)
    assert len(found) > 0
    assert_same(found, by_python(image))


def test_slices_are_crops_that_were_looked_at_alone(weights, image):
    """Two tiles of 120 of 200 px, the whole image, and what the merging of these gives."""
    everything = [*OPTS, "MODEL.FCOS.NMS_TH", "0.0"]  # nothing is suppressed, so nothing is lost
    plain = Predictor("Recipes/R18-Scratch", weights, opts=everything)
    sliced = Predictor("Recipes/R18-Scratch", weights, slice_size=120, opts=everything)
    found, (left, right, whole) = sliced(image), map(plain, (image[:, :120], image[:, 80:], image))
    right.pred_boxes = Boxes(right.pred_boxes.tensor + torch.tensor([80, 0, 80, 0]))
    expected = Boxes.cat([x.pred_boxes for x in (left, right, whole)]).tensor
    scores = torch.cat([x.scores for x in (left, right, whole)])
    assert 0 < len(found) <= len(expected)
    distances = (found.pred_boxes.tensor[:, None] - expected).abs().sum(dim=2)
    distances += (found.scores[:, None] - scores).abs()
    assert distances.amin(dim=1).max() < 1e-3
    # All of the whole image, and what a tile's border does not cut, are there.
    assert (distances[:, -len(whole) :].amin(dim=0) < 1e-3).all()


def test_an_image_that_fits_into_a_slice(weights, image):
    plain = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    sliced = Predictor("Recipes/R18-Scratch", weights, slice_size=200, opts=OPTS)
    assert_same(sliced(image), plain(image))


def test_test_time_augmentation(weights, image):
    """One size without mirror image is the plain evaluation; the mirror image adds to it."""
    tta = ["TEST.AUG.ENABLED", "True", "TEST.AUG.MIN_SIZES", "(224,)", "TEST.AUG.MAX_SIZE", "400"]
    once = [*OPTS, *tta, "TEST.AUG.FLIP", "False"]
    plain = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    assert_same(Predictor("Recipes/R18-Scratch", weights, opts=once)(image), plain(image))
    off = Predictor("Recipes/R18-Scratch", weights, opts=[*OPTS, *tta], tta=False)
    assert_same(off(image), plain(image))
    # A threshold bounds the mean score.
    opts = [*OPTS, "MODEL.FCOS.POST_NMS_TOPK_TEST", "0"]
    everything, some = (
        Predictor("Recipes/R18-Scratch", weights, tta=True, confidence_threshold=t, opts=opts)
        for t in (None, 0.4)
    )
    found = everything(image)
    assert 0 < len(some(image)) < len(found)
    assert_same(some(image), found[found.scores >= 0.4])


def test_the_network_is_folded_and_its_boxes_stay(weights, image):
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    plain = model_zoo.get_model("Recipes/R18-Scratch", OPTS).eval()
    FCOSCheckpointer(plain).load(weights)
    assert len([*predictor.model.modules()]) < len([*plain.modules()])
    with torch.inference_mode():
        expected = plain([predictor.inputs_of(image)])[0]["instances"]
    found = predictor(image)
    assert len(found) > 10
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
    boxes, others = found.pred_boxes.tensor, expected.pred_boxes.tensor
    torch.testing.assert_close(boxes, others, atol=1e-2, rtol=1e-4)


def test_one_class_for_each_object(weights, image):
    """Against a loop: a box stays if no surer one that stays has an IoU above the threshold."""
    opts = [*OPTS, "MODEL.FCOS.POST_NMS_TOPK_TEST", "0", "MODEL.FCOS.NMS_TH", "0.5"]
    given = {"opts": opts, "confidence_threshold": 0.3}
    found = Predictor("Recipes/R18-Scratch", weights, **given)(image)
    one_class = Predictor("Recipes/R18-Scratch", weights, agnostic_nms=True, **given)(image)
    iou = pairwise_iou(found.pred_boxes, found.pred_boxes)
    kept = []
    for i in range(len(found)):  # best first
        if all(iou[i, j] <= 0.5 for j in kept):
            kept.append(i)
    assert 0 < len(kept) < len(found)
    assert_same(one_class, found[kept])
    off = [*OPTS, "MODEL.FCOS.NMS_TH", "0.0"]
    with pytest.raises(ValueError, match="agnostic_nms needs suppression"):
        Predictor("Recipes/R18-Scratch", weights, agnostic_nms=True, opts=off)


def test_half_precision(weights, image, monkeypatch, caplog):
    plain = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)(image)
    monkeypatch.setattr("fcos_d2.device.cpu_has_bf16", lambda: True)
    found = Predictor("Recipes/R18-Scratch", weights, precision="bf16", opts=OPTS)(image)
    assert found.scores.dtype == torch.float32
    assert not torch.equal(found.scores[:5], plain.scores[:5])
    torch.testing.assert_close(found.scores[:5], plain.scores[:5], atol=0.03, rtol=0)
    monkeypatch.setattr("fcos_d2.device.cpu_has_bf16", lambda: False)
    assert inference_dtype("bf16", "cpu") is None
    assert "cannot compute in bf16: detecting in float32" in caplog.text
    assert inference_dtype("fp16", "cuda") == torch.float16
    assert inference_dtype("fp32", "cuda") is None
    with pytest.raises(ValueError, match="precision must be one of .*'fp32'.* got 'int8'"):
        inference_dtype("int8", "cuda")
    with pytest.raises(ValueError, match="'fp16' needs a GPU"):
        Predictor("Recipes/R18-Scratch", weights, precision="fp16", device="cpu", opts=OPTS)


def test_compiled(weights, image, monkeypatch):
    """With the compiler's first half only: its second, code in C++, takes a minute."""
    compiled = []

    def compile_eagerly(self: torch.nn.Module) -> None:
        compiled.append(type(self).__name__)
        self._compiled_call_impl = torch.compile(self._call_impl, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_eagerly)
    plain = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    predictor = Predictor("Recipes/R18-Scratch", weights, compile=True, opts=OPTS)
    assert compiled == ["FPN", "FCOSHead"]
    assert_same(predictor(image), plain(image))


def test_mistakes_are_named(weights, image, tmp_path):
    with pytest.raises(ValueError, match="confidence_threshold: .* must be in .* got 1.5"):
        Predictor("Recipes/R18-Scratch", weights, confidence_threshold=1.5, opts=OPTS)
    with pytest.raises(ValueError, match="gone.pth: no such checkpoint"):
        Predictor("Recipes/R18-Scratch", "gone.pth", opts=OPTS)
    with pytest.raises(ValueError, match="no weights given"):
        Predictor("Recipes/R18-Scratch", opts=OPTS)
    with pytest.raises(ValueError, match="model.pth: .* not in it.*config"):
        Predictor("FCOS-RT/R50", weights, device="cpu")
    with pytest.raises(ValueError, match="model.pth: 2 parts .*cls_logits"):
        Predictor("Recipes/R18-Scratch", weights, device="cpu")  # 80 classes, the file has 2
    with pytest.raises(ValueError, match="size of slices must be a whole number of px, got -1"):
        Predictor("Recipes/R18-Scratch", weights, slice_size=-1, opts=OPTS)
    with pytest.raises(ValueError, match="for a config by name or file: change the object"):
        Predictor(model_zoo.get_config("Recipes/R18-Scratch"), weights, opts=OPTS)
    predictor = Predictor("Recipes/R18-Scratch", weights, opts=OPTS)
    with pytest.raises(ValueError, match=r"BGR uint8 array .* got float64 \(4, 4, 3\)"):
        predictor(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="no pixels, .* leave out empty crops"):
        predictor(image[10:10])
    with pytest.raises(ValueError, match="must be a list of images, got a single one"):
        predictor.predict_batch(image)
    with pytest.raises(ValueError, match="got list: several images go to predict_batch"):
        predictor([image, image])
    with pytest.raises(ImageError, match="absent.png"):
        predictor(tmp_path / "absent.png")


def test_slices_and_augmentation_of_both_kinds_of_config():
    for name in ("FCOS-RT/R50", "lazy/FCOS-RT/R50"):
        run = run_of(model_zoo.get_config(name))
        assert not run.views.several
        asked = {"slice_size": 640, "slice_overlap": 0.3, "tta": True}
        views = replace(run.view_options, **asked).settings()
        assert views == ViewSettings(Slicing(640, 0.3, full_image=True), FlipsAndScales())
