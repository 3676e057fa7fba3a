"""From a dataset record to the input of the model."""

import copy
import logging
import os
from collections.abc import Callable, Sequence
from itertools import compress

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetMapper
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances

from fcos_deploy.vision import ImageError, read_reduced

from ..sample import Sample, boxes_of, visible_share
from .input_size import InputSize, Size
from .mixing import SCALES, TRIES, ImageMixing
from .pipeline import as_detectron2_knows_it, build_augmentations, build_mixing, build_test_resize
from .resize import to_planes
from .unreadable import UnreadableCounter, read_patiently

logger = logging.getLogger(__name__)


class FCOSDatasetMapper(DatasetMapper):
    """detectron2's mapper with our image reader, and with a way around unreadable images.

    It never returns None: detectron2 answers None by sampling from a set, which Python >= 3.11
    refuses.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: list[T.Augmentation | T.Transform],
        image_format: str,
        use_instance_mask: bool = False,
        instance_mask_format: str = "polygon",
        recompute_boxes: bool = False,
        max_unreadable_share: float = 0.05,
        unreadable_list: str = "",
        mixing: ImageMixing | None = None,
        test_resize: T.Augmentation | None = None,
        min_visible: float = 0.0,
        use_crowd_boxes: bool = False,
    ) -> None:
        """
        Args:
            is_train: as in detectron2, like all down to `recompute_boxes`.
            max_unreadable_share: training fails when more of its images than this share, in
                [0, 1], could not be read.
            unreadable_list: file that gets the name of each of them; "" for none.
            mixing: of images, in training; None: off.
            test_resize: the resize at test time, which sets the size of objects in mixed images;
                None: the middle of the training sizes does.
            min_visible: least share of its area that a box keeps in the augmented image, or it is
                left out; in [0, 1].
            use_crowd_boxes: learn crowd regions as objects; otherwise they are left out.
        """
        super().__init__(
            is_train=is_train,
            augmentations=augmentations,
            image_format=image_format,
            use_instance_mask=use_instance_mask,
            instance_mask_format=instance_mask_format,
            recompute_boxes=recompute_boxes,
        )
        self.records: Sequence[dict] = ()
        self._last_readable: list[dict] = []
        self.mixing = mixing if is_train else None
        self.input_size = InputSize(self.augmentations.augs, test_resize)
        self.augmentations_of_mixed = T.AugmentationList(self.input_size.without_resize)
        self.min_visible = min_visible
        self.use_crowd_boxes = use_crowd_boxes
        self.counter = UnreadableCounter(max_unreadable_share, unreadable_list)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict:
        theirs = super().from_config(as_detectron2_knows_it(cfg), is_train)
        return {
            "is_train": is_train,
            "augmentations": build_augmentations(cfg, is_train),
            "image_format": theirs["image_format"],
            "use_instance_mask": theirs["use_instance_mask"],
            "instance_mask_format": theirs["instance_mask_format"],
            "recompute_boxes": theirs.get("recompute_boxes", False),
            "max_unreadable_share": cfg.DATALOADER.MAX_UNREADABLE_SHARE,
            "unreadable_list": os.path.join(cfg.OUTPUT_DIR, "unreadable_images.txt"),
            "mixing": build_mixing(cfg) if is_train else None,
            "test_resize": build_test_resize(cfg) if is_train else None,
            "min_visible": cfg.INPUT.MIN_VISIBLE,
            "use_crowd_boxes": cfg.INPUT.USE_CROWD_BOXES,
        }

    def set_records(self, records: Sequence[dict]) -> None:
        """Where the partners of mixed images, and what replaces unreadable ones, come from."""
        self.records = records
        if self.mixing is not None:
            self.mixing.set_records(records)

    def __call__(self, dataset_dict: dict) -> dict:
        """
        Args:
            dataset_dict: one record in detectron2's dataset format.

        Returns:
            The record with image (3, H, W), and instances in training. An image that cannot be
            read, or has another size than its record says, is logged and counted; in training a
            random one takes its place, in evaluation a black picture, on which nothing is found.

        Raises:
            ImageError: unreadable, and so are all that could take its place; or there is none.
            FolderAwayError: see `read_patiently`.
            TooManyUnreadableError: in training, see `UnreadableCounter`.
        """
        if not self.is_train:
            return self._map_for_test(dataset_dict)
        failed: ImageError | None = None
        for _ in range(TRIES):
            try:
                mapped = self._map(dataset_dict)
            except ImageError as error:
                failed, dataset_dict = error, self._instead_of(dataset_dict, error)
                continue
            if failed is None:
                self.counter.add()
                self._last_readable = [dataset_dict]
            return mapped
        assert failed is not None, TRIES
        raise failed

    def _instead_of(self, dataset_dict: dict, error: ImageError) -> dict:
        """Another record, by the random numbers of the sample: neither the workers nor what was
        read before decide. detectron2's own loaders tell no records: then the last readable one.
        """
        self.counter.add(error)
        records = self.records if len(self.records) else self._last_readable
        if not len(records):
            raise error
        other = records[np.random.randint(len(records))]
        logger.error("%s; %s takes its place", error, other["file_name"])
        return {**dataset_dict, **other}

    def _map_for_test(self, dataset_dict: dict) -> dict:
        try:
            return self._map(dataset_dict)
        except ImageError as error:
            logger.error("%s; it counts as an image without detections", error)
            size = dataset_dict["height"], dataset_dict["width"], 3
            return self._map(dataset_dict, np.zeros(size, np.uint8))

    def _read(self, dataset_dict: dict, least_size: Callable[[Size], Size | None]) -> np.ndarray:
        """The image, reduced by a whole factor where that leaves `least_size`; None: it is not.

        Gives the record the size of the file.
        """
        if self.use_instance_mask or (self.mixing is not None and self.mixing.with_masks):
            least_size = _all_of_it  # masks are not reduced
        path = dataset_dict["file_name"]

        def read() -> tuple[np.ndarray, Size]:
            return read_reduced(path, lambda size: least_size(size) or size, self.image_format)

        image, (height, width) = read_patiently(read, path)
        stated = dataset_dict.setdefault("height", height), dataset_dict.setdefault("width", width)
        if stated != (height, width):
            raise ImageError(
                f"{path}: {height} x {width} px (height x width), but its annotations were made "
                f"for {stated[0]} x {stated[1]}"
            )
        return image

    def _least_to_mix(self, size: Size) -> Size:
        """An image is enlarged by at most the largest of the factors of mixing."""
        factor = min(self.input_size.scale(size) * SCALES[1], 1)
        return round(size[0] * factor), round(size[1] * factor)

    def _read_partner(self, dataset_dict: dict) -> np.ndarray:
        try:
            image = self._read(dataset_dict, self._least_to_mix)
        except ImageError as error:
            logger.error("%s; another image takes its place", error)
            self.counter.add(error)
            raise
        self.counter.add()
        return image

    def _map(self, dataset_dict: dict, image: np.ndarray | None = None) -> dict:
        """What `__call__` returns; `image` is the one of the file where it is known already."""
        dataset_dict = copy.deepcopy(dataset_dict)  # what follows changes it
        if image is not None:
            utils.check_image_size(dataset_dict, image)
        mixed = None
        if self.mixing is not None and "annotations" in dataset_dict:

            def read() -> np.ndarray:
                return self._read(dataset_dict, self._least_to_mix) if image is None else image

            mixed = self.mixing(dataset_dict, read, self._read_partner, self.input_size)
        if mixed is not None:
            dataset_dict, image = mixed
        elif image is None:
            image = self._read(dataset_dict, self.input_size.least_to_read)
            if image.shape[1] < dataset_dict["width"]:
                reduced = Sample.of_record(dataset_dict, image, with_masks=False)
                dataset_dict["annotations"] = reduced.annotations
        return self._augmented(dataset_dict, image, mixed is not None)

    def _augmented(self, dataset_dict: dict, image: np.ndarray, is_mixed: bool) -> dict:
        boxes = boxes_of(dataset_dict.get("annotations", [])) if self.is_train else None
        dataset_dict["image"], transforms = self.to_input(image, boxes, is_mixed)
        if not self.is_train:
            dataset_dict.pop("annotations", None)
        elif "annotations" in dataset_dict:
            image_size = tuple(dataset_dict["image"].shape[1:])
            if self.use_crowd_boxes:
                for annotation in dataset_dict["annotations"]:
                    annotation["iscrowd"] = 0
            mixing = self.mixing if is_mixed else None
            least = self.min_visible if mixing is None else mixing.min_visible
            if least > 0:
                # The corners alone, which no border cuts.
                whole = T.Transform.apply_box(transforms, boxes)
                shares = visible_share(whole, image_size, transforms.apply_box(boxes))
                visible = (shares >= least).tolist()
                dataset_dict["annotations"] = [*compress(dataset_dict["annotations"], visible)]
            self._transform_annotations(dataset_dict, transforms, image_size)
        return dataset_dict

    def _transform_annotations(
        self, dataset_dict: dict, transforms: T.Transform, image_shape: tuple[int, int]
    ) -> None:
        """As detectron2's, but boxes without masks go through in one array.

        Those of whole numbers keep fractions of a pixel here, which detectron2 cuts off.
        """
        if self.use_instance_mask:
            return super()._transform_annotations(dataset_dict, transforms, image_shape)
        kept = [a for a in dataset_dict.pop("annotations") if a.get("iscrowd", 0) == 0]
        height, width = image_shape
        boxes = transforms.apply_box(boxes_of(kept)).clip(0, [width, height] * 2)
        instances = Instances(image_shape)
        instances.gt_boxes = Boxes(torch.from_numpy(boxes.astype(np.float32)))
        instances.gt_classes = torch.tensor([a["category_id"] for a in kept], dtype=torch.int64)
        dataset_dict["instances"] = instances[instances.gt_boxes.nonempty(threshold=1e-5)]

    def to_input(
        self, image: np.ndarray, boxes: np.ndarray | None = None, is_mixed: bool = False
    ) -> tuple[torch.Tensor, T.Transform]:
        """What the model gets for an image in the mapper's channel order.

        Args:
            image: uint8 (H, W, 3).
            boxes: (M, 4) xyxy, px, for augmentations that look at them.
            is_mixed: it has the size of the network input already.

        Returns:
            The augmented image (3, H', W') in grey levels, uint8 or float32 as the resize gives
            it, and the transform that led to it.
        """
        augmented = T.AugInput(image, boxes=boxes)
        chain = self.augmentations_of_mixed if is_mixed else self.augmentations
        transforms = chain(augmented)
        return torch.from_numpy(to_planes(augmented.image)), transforms


def _all_of_it(_: Size) -> None:
    return None
