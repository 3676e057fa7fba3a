"""The layouts of datasets, each recognised in a file of its own."""

from .coco import find_coco
from .tree import Reading, Tree
from .voc import find_voc
from .yolo import find_yolo

__all__ = ["LAYOUTS", "Reading", "Tree"]

# By the format of `read_dataset`; of two readings of the same data the earlier is taken.
LAYOUTS = (("coco", find_coco), ("voc", find_voc), ("yolo", find_yolo))
