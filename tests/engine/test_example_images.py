import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.engine import TrainerBase
from detectron2.structures import Boxes, BoxMode, Instances
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from torch import nn

from fcos_d2.engine.cadence import Every
from fcos_d2.engine.example_images import ExampleImages, example_images, with_ground_truth
from fcos_d2.visualization import class_color

NAMES = ["circle", "ring"]
BOX = (100.0, 200.0, 900.0, 600.0)  # in an image of 1000 x 800


class OneBox(nn.Module):
    """Finds BOX surely and another box hardly; its norm was put into evaluation mode."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3).eval()

    def forward(self, batch):
        assert not self.training and not torch.is_grad_enabled()
        (entry,) = batch
        found = Instances((entry["height"], entry["width"]))
        found.pred_boxes = Boxes(torch.tensor([BOX, (0, 0, 50, 50)]))
        found.scores = torch.tensor([0.9, 0.2])
        found.pred_classes = torch.tensor([1, 0])
        return [{"instances": found}]


def an_input(name="x/a.jpg", with_truth=False, size=(400, 500)):
    """Half as large as the image; the ground truth is half of BOX."""
    entry = {"image": torch.zeros(3, *size), "file_name": name, "height": 800, "width": 1000}
    if with_truth:
        instances = Instances(size)
        instances.gt_boxes = Boxes(torch.tensor([BOX]) / 2)
        instances.gt_classes = torch.tensor([0])
        entry["instances"] = instances
    return entry


class Loop(TrainerBase):
    def __init__(self, hook):
        super().__init__()
        self.register_hooks([hook])

    def run_step(self):
        pass


def images_of(hook, iterations=1):
    """What a loop leaves in the storage: (name, image, iteration)."""
    loop = Loop(hook)
    loop.train(0, iterations)
    return loop.storage._vis_data


def test_periods_and_names():
    inputs = [an_input("x/a.jpg"), an_input("y/a.jpg")]
    drawn = images_of(ExampleImages(OneBox(), inputs, NAMES, Every(2)), 6)
    # After iterations 1 and 3; that of 5 is the last one, drawn as the loop ends.
    assert [step for _, _, step in drawn] == [1, 1, 3, 3, 6, 6]
    assert [name for name, _, _ in drawn[:2]] == ["predictions/a.jpg", "predictions/a-2.jpg"]
    only_last = images_of(ExampleImages(OneBox(), inputs, NAMES, Every(0)), 6)
    assert [step for _, _, step in only_last] == [6, 6]


def test_boxes_lie_where_they_belong():
    """1000 x 800 becomes 640 x 512: BOX lies at 0.64 times its place, x from 64 to 576."""
    ((_, image, _),) = images_of(ExampleImages(OneBox(), [an_input()], NAMES, Every(0)))
    assert image.shape == (3, 512, 640) and image.dtype == np.uint8
    blue, green, red = class_color(1)
    ys, xs = np.nonzero((image == np.array([red, green, blue])[:, None, None]).all(axis=0))
    assert (xs.min(), xs.max(), ys.max()) == (64, 575, 383)
    assert (image[:, :30, :30] == 0).all()  # the unsure box is left out


@pytest.mark.parametrize("size", [(800, 1000), (1000, 800), (50, 50), (30, 3000)])
def test_ground_truth_stands_beside(size):
    entry = an_input(with_truth=True) | {"height": size[0], "width": size[1]}
    hook = ExampleImages(OneBox(), [entry], NAMES, Every(0))
    ((_, image, _),) = images_of(hook)
    assert image.shape[0] == 3 and max(image.shape) <= 640
    for class_id in (0, 1):  # of the ground truth, of the prediction
        color = np.array(class_color(class_id)[::-1])[:, None, None]
        assert (image == color).all(axis=0).any()


@pytest.mark.parametrize("image_format", ["BGR", "RGB"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_colours(image_format, dtype):
    entry = an_input()
    red_channel = 2 if image_format == "BGR" else 0
    entry["image"] = torch.zeros(3, 400, 500, dtype=dtype)
    entry["image"][red_channel] = 200
    hook = ExampleImages(OneBox(), [entry], NAMES, Every(0), image_format, score_thresh=0.95)
    ((_, image, _),) = images_of(hook)
    assert image[:, 10, 10].tolist() == [200, 0, 0]


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match="BGR or RGB, got 'L'"):
        ExampleImages(OneBox(), [], NAMES, Every(0), "L")


def test_modes_come_back():
    model = OneBox().train()
    model.norm.eval()
    images_of(ExampleImages(model, [an_input()], NAMES, Every(0)))
    assert model.training and not model.norm.training
    hook = ExampleImages(model, [an_input()], NAMES[:1], Every(0))  # class 1 has no name
    with pytest.raises(ValueError, match="class 1 has no name"):
        images_of(hook)
    assert model.training and not model.norm.training


def test_main_process_only(monkeypatch):
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert images_of(ExampleImages(OneBox(), [an_input()], NAMES, Every(0))) == []


def test_a_run_that_broke_off_draws_nothing():
    hook = ExampleImages(OneBox(), [an_input()], NAMES, Every(0))
    hook.trainer = Loop(hook)
    hook.trainer.iter, hook.trainer.max_iter = 3, 10
    with EventStorage(3) as hook.trainer.storage:
        hook.after_train()
    assert hook.trainer.storage._vis_data == []


def test_with_ground_truth():
    """The input is half as large as the image, and so are its boxes."""
    xywh = {"bbox": [100, 200, 800, 400], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 1}
    record = {"annotations": [xywh, xywh | {"iscrowd": 1}]}
    instances = with_ground_truth(an_input(), record)["instances"]
    assert instances.gt_boxes.tensor.tolist() == [[50, 100, 450, 300]]
    assert instances.gt_classes.tolist() == [1]
    assert len(with_ground_truth(an_input(), {"annotations": []})["instances"]) == 0
    assert "instances" not in with_ground_truth(an_input(), {})


def test_example_images_of_a_dataset(monkeypatch):
    name = "example_images_test"
    DatasetCatalog.register(name, lambda: [{"n": 0}, {"n": 1}, {"n": 2, "annotations": []}])

    def build(num_images, names=(name,)):
        return example_images(
            OneBox(),
            names,
            lambda record: an_input(f"{record['n']}.jpg"),
            "RGB",
            num_images,
            Every(5),
        )

    try:
        with pytest.raises(ValueError, match="no thing_classes"):
            build(2)
        MetadataCatalog.get(name).thing_classes = NAMES
        (hook,) = build(2)
        assert [entry["file_name"] for entry in hook.inputs] == ["0.jpg", "1.jpg"]
        assert (hook.image_format, hook.cadence) == ("RGB", Every(5))
        assert len(build(9, name)[0].inputs) == 3
        assert build(0) == [] and build(2, ()) == []
        with pytest.raises(ValueError, match="`images` must be 0 or more, got -1"):
            build(-1)
        monkeypatch.setattr(comm, "is_main_process", lambda: False)
        assert build(2) == []
    finally:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_classes_of_model_and_truth_share_one_list():
    """The model's come first, in its order; the ground truth's "ring" is its class 0, and "star",
    which it does not know, comes last.
    """
    name = "test_example_classes"
    record = {"file_name": "a.jpg", "height": 800, "width": 1000}
    objects = [{"bbox": BOX, "bbox_mode": BoxMode.XYXY_ABS, "category_id": i} for i in (0, 1)]
    DatasetCatalog.register(name, lambda: [record | {"annotations": objects}])
    MetadataCatalog.get(name).thing_classes = ["star", "ring"]
    try:
        (hook,) = example_images(
            OneBox(), [name], lambda record: an_input(), "BGR", 1, Every(0), ["ring", "circle"]
        )
    finally:
        DatasetCatalog.pop(name)
        MetadataCatalog.pop(name)
    assert hook.class_names == ["ring", "circle", "star"]
    assert hook.inputs[0]["instances"].gt_classes.tolist() == [2, 0]
