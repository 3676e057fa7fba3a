"""The layouts of datasets, each recognised in a file of its own."""

from .coco import find_coco
from .labelme import find_labelme
from .tables import find_csv, find_image_folder, find_open_images
from .tree import Reading, SeveralMeant, Tree, listed
from .voc import find_voc
from .yolo import find_yolo

__all__ = ["LAYOUTS", "Reading", "SeveralMeant", "Tree", "listed"]

# By the format of `read_dataset`; of two readings of the same data the earlier is taken.
LAYOUTS = (
    ("coco", find_coco),
    ("voc", find_voc),
    ("yolo", find_yolo),
    ("labelme", find_labelme),
    ("openimages", find_open_images),
    ("imagefolder", find_image_folder),
    ("csv", find_csv),
)
