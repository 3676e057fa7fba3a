"""`Instances` unpacked and packed."""

import torch
from detectron2.structures import Boxes, Instances

from fcos_d2.modeling.packing import pack_detections, unpack_truth
from fcos_d2.modeling.selection import Detections

FOUND = Detections(
    boxes=torch.tensor([[0.0, 0.0, 8.0, 8.0], [-4.0, 2.0, 9.0, 6.0]]),
    scores=torch.tensor([0.75, 0.5]),
    classes=torch.tensor([2, 0]),
    location_idxs=torch.tensor([3, 0]),
)


def test_detections():
    instances = pack_detections(FOUND, (20, 30))
    assert instances.image_size == (20, 30)
    assert set(instances.get_fields()) == {"pred_boxes", "scores", "pred_classes"}
    assert instances.pred_boxes.tensor.equal(FOUND.boxes)
    assert instances.scores.equal(FOUND.scores) and instances.pred_classes.equal(FOUND.classes)


def test_features_of_the_locations():
    """Two levels of 3 and 1 locations: index 3 is the one of the second level."""
    features = [torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[4.0]])]
    instances = pack_detections(FOUND, (20, 30), features=features)
    assert instances.box_features.tolist() == [[4], [1]]


def test_proposals():
    """The logit of 3/4 is log 3, that of 1/2 is 0."""
    instances = pack_detections(FOUND, (20, 30), as_proposals=True)
    assert set(instances.get_fields()) == {"proposal_boxes", "objectness_logits"}
    expected = torch.tensor([3.0, 1.0]).log()
    torch.testing.assert_close(instances.objectness_logits, expected)


def test_truth():
    instances = Instances((20, 30))
    instances.gt_boxes, instances.gt_classes = Boxes(FOUND.boxes), FOUND.classes
    for class_agnostic, expected in ((False, [2, 0]), (True, [0, 0])):
        like = torch.zeros(0, dtype=torch.float64)
        found = unpack_truth([instances, instances[:1]], like, class_agnostic)
        assert found.boxes.equal(torch.cat((FOUND.boxes, FOUND.boxes[:1])).double())
        assert found.classes.tolist() == [*expected, expected[0]]
        assert found.counts == [2, 1]
