"""COCO 2017 with multi-scale training, and COCO's metric."""

import detectron2.data.transforms as T
from detectron2.config import LazyCall as L
from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts

from fcos_d2.data.augmentation import FastResizeShortestEdge, ResizeShortestEdge
from fcos_d2.data.loader import build_training_loader
from fcos_d2.data.mapper import FCOSDatasetMapper
from fcos_d2.datasets.training_set import training_records
from fcos_d2.evaluation.metrics import build_evaluator

dataloader = dict(
    train=L(build_training_loader)(
        # Images without boxes are left out; False trains on them, too.
        dataset=L(training_records)(names="coco_2017_train", filter_empty=True),
        mapper=L(FCOSDatasetMapper)(
            is_train=True,
            augmentations=[
                L(FastResizeShortestEdge)(
                    short_edge_length=[640, 672, 704, 736, 768, 800],
                    max_size=1333,
                    sample_style="choice",
                ),
                L(T.RandomFlip)(horizontal=True),
            ],
            image_format="BGR",
            max_unreadable_share=0.05,
        ),
        total_batch_size=16,
        num_workers=4,
    ),
    test=L(build_detection_test_loader)(
        dataset=L(get_detection_dataset_dicts)(names="coco_2017_val", filter_empty=False),
        mapper=L(FCOSDatasetMapper)(
            is_train=False,
            augmentations=[L(ResizeShortestEdge)(short_edge_length=800, max_size=1333)],
            image_format="BGR",
        ),
        num_workers=4,
    ),
    evaluator=L(build_evaluator)(
        dataset_name="${..test.dataset.names}",
        output_dir="",
        # Detections of a class in an image that count; COCO's metric has 100.
        max_dets_per_image=100,
    ),
)
