"""A set of a few pictures, whose objects are what the detector finds with wider limits."""

from collections import Counter

import cv2
import numpy as np
import pytest
import torch

from fcos_d2.datasets.formats import ReadDataset
from fcos_d2.evaluation.why import (
    MISSES,
    LabelledImages,
    Variant,
    explain_set,
    look,
    usual_variants,
)
from fcos_d2.evaluation.why.remedy import without_cause
from fcos_d2.evaluation.why.verdict import Judge
from fcos_d2.modeling import Selection


@pytest.fixture
def labelled(predictor, tmp_path):
    """Sure and unsure detections, and boxes anywhere, as annotations; and a detector with limits
    that leave only some of them.
    """
    rng, annotations, images = np.random.default_rng(3), [], []
    generator = predictor.model.proposal_generator
    generator.test_selection = Selection(score_thresh=0.01, nms_thresh=0.8, max_detections=0)
    for i in range(3):
        picture = rng.integers(0, 256, (60, 100, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        images.append({"id": 10 + i, "file_name": f"{i}.png", "height": 60, "width": 100})
        found = predictor(picture)
        chosen = rng.permutation(len(found))[:24]
        anywhere = rng.uniform(0, 50, (6, 4)) * [1, 0.6, 1, 0.6]
        anywhere[:, 2:] = anywhere[:, :2] + 6 + anywhere[:, 2:] / 4
        boxes = [*found.pred_boxes.tensor[chosen].double().numpy(), *anywhere]
        classes = [*found.pred_classes[chosen].tolist(), *[0, 1] * 3]
        for box, k in zip(boxes, classes, strict=True):
            xywh = [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]
            annotations.append(annotation(len(annotations) + 1, 10 + i, 7 if k else 9, xywh))
    annotations.append(annotation(1000, 10, 9, [0, 0, 90, 50]) | {"iscrowd": 1})
    generator.test_selection = Selection(
        score_thresh=0.2, topk_candidates=60, nms_thresh=0.3, max_detections=30
    )
    return LabelledImages(dataset(images, annotations, tmp_path), predictor.class_names, "mine")


def annotation(number, image, category, bbox):
    area = bbox[2] * bbox[3]
    ids = {"id": number, "image_id": image, "category_id": category}
    return {**ids, "bbox": bbox, "area": area, "iscrowd": 0}


def dataset(images, annotations, folder):
    """The order of the classes is not that of the detector."""
    categories = [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    return ReadDataset(coco, [], folder, "coco")


def judges(predictor, labelled):
    for i in range(len(labelled)):
        yield Judge(
            seen=look(predictor, cv2.imread(str(labelled.path(i)))),
            selection=predictor.model.proposal_generator.test_selection,
            objects=labelled.objects(i),
        )


def test_steps_sum_to_the_misses_and_causes_are_causes(predictor, labelled):
    """Each miss has one step; without its cause it is found, or lost at another one."""
    result = explain_set(predictor, labelled)
    missed, removed, named = 0, 0, Counter()
    for judge in judges(predictor, labelled):
        missed += len(judge.misses)
        for i in judge.misses:
            verdict = judge.verdict(i)
            assert verdict.step in MISSES
            remedy = without_cause(judge, i, verdict)
            named[verdict.step] += 1
            if remedy is not None:
                removed += 1
                assert remedy.step != verdict.step, (verdict, remedy)
    assert sum(result.steps.values()) == missed == len(result.misses) > 20
    assert result.objects == 3 * 30 and result.outcomes[0].missed == missed
    assert removed >= 20 and len(named) >= 5, named


@pytest.mark.slow  # 15 images, some in slices
def test_what_if_is_what_a_changed_detector_gives(predictor, labelled):
    """The numbers of a change are those of a detector that has the setting."""
    changes = Variant.parse("threshold=0.1,nms_thresh=0.8")
    resized, sliced = Variant.parse("size=48"), Variant.parse("slice=40")
    outcomes = explain_set(predictor, labelled, [changes, resized, sliced]).outcomes
    assert len({outcome.ap for outcome in outcomes}) == 4
    generator = predictor.model.proposal_generator
    generator.test_selection = changes.selection(generator.test_selection, 2)
    assert explain_set(predictor, labelled).outcomes[0][1:] == outcomes[1][1:]


def test_slices_are_those_of_the_predictor(predictor, picture):
    changed = Variant.parse("slice=40").predictor(predictor)
    assert len(look(changed, picture).views) > len(look(predictor, picture).views) == 1
    assert changed(picture).pred_boxes.tensor.shape != predictor(picture).pred_boxes.tensor.shape


def test_size_is_the_short_side_of_the_input(predictor, picture):
    changed = Variant.parse("size=96").predictor(predictor)
    assert look(changed, picture).views[0].input_size == (96, 160)
    assert look(predictor, picture).views[0].input_size == (64, 107)


def test_an_unreadable_image_is_left_out(predictor, labelled, caplog):
    labelled.path(1).write_bytes(b"no picture")
    result = explain_set(predictor, labelled)
    assert (result.images, result.unreadable, result.objects) == (2, 1, 60)
    assert "1.png" in caplog.text


def test_an_annotation_by_its_id(labelled):
    assert labelled.of_annotation("31") == (1, 0)
    with pytest.raises(ValueError, match="mine has no annotation with the id 12345; it has 91"):
        labelled.of_annotation("12345")
    with pytest.raises(ValueError, match="iscrowd"):
        labelled.of_annotation("1000")


def test_classes_that_the_detector_lacks(labelled):
    read = ReadDataset(labelled.data.truth, [], labelled.data.folder, "coco")
    with pytest.raises(ValueError, match="mine has boxes of .*does not know: dog; its classes"):
        LabelledImages(read, ["cat", "cow"], "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nms=0.5", "'nms=0.5': no setting that can be changed; .*threshold, score_thresh"),
        ("size=big", "size needs a whole number, got 'big'"),
        ("nms_thresh", "nms_thresh needs a number, got ''"),
    ],
)
def test_changes_that_cannot_be(text, message):
    with pytest.raises(ValueError, match=message):
        Variant.parse(text)


def test_numbers_out_of_range(predictor):
    with pytest.raises(ValueError, match="min_scores must be in"):
        Variant.parse("threshold=2").selection(Selection(), 2)
    with pytest.raises(ValueError, match="size must be positive"):
        Variant.parse("size=0").predictor(predictor)
    with pytest.raises(ValueError, match="size of slices"):
        Variant.parse("slice=0").predictor(predictor)


def test_usual_changes_widen_each_limit():
    usual = usual_variants(Selection())
    assert [str(x) for x in usual] == [
        "score_thresh 0.025",
        "topk_candidates 10000",
        "nms_thresh 0.7",
        "max_detections 300",
        "score_thresh 0.025, topk_candidates 10000, nms_thresh 0.7, max_detections 300",
    ]
    assert torch.tensor([not x.runs_again for x in usual]).all()
