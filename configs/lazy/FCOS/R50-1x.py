from ..common.coco import dataloader

dataloader.train.mapper.augmentations[0].short_edge_length = [800]
