"""A detector that finds the truth, so that AP is 100."""

import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, BoxMode, Instances
from torch import nn


class Oracle(nn.Module):
    """Finds all boxes of a dataset, under the class indices of its own list of names."""

    def __init__(self, dataset_name, class_names):
        super().__init__()
        self.found = {x["image_id"]: x["annotations"] for x in DatasetCatalog.get(dataset_name)}
        names = MetadataCatalog.get(dataset_name).thing_classes
        self.classes = [class_names.index(name) for name in names]

    def forward(self, batch):
        return [{"instances": self._detect(entry)} for entry in batch]

    def _detect(self, entry):
        boxes = [
            BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS)
            for a in self.found[entry["image_id"]]
        ]
        classes = [self.classes[a["category_id"]] for a in self.found[entry["image_id"]]]
        found = Instances((entry["height"], entry["width"]))
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.linspace(1, 0.5, len(boxes))
        found.pred_classes = torch.tensor(classes, dtype=torch.int64)
        return found
