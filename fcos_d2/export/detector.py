"""The whole detector as one graph: normalisation, network, decoding and suppression."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from detectron2.modeling.backbone import Backbone
from torch import Tensor, nn

from ..modeling import FCOS
from ..modeling.folding import fold_batch_norms
from ..modeling.geometry import level_locations, location_grids, ltrb_to_boxes
from ..modeling.head import HeadOutputs
from .suppression import kept_by_suppression
from .towers import with_exportable_towers


class ExportableDetector(nn.Module):
    """What the `FCOS` meta-architecture computes, from images to final boxes, without lists.

    Sizes of the batch and of the images may be symbolic.
    """

    def __init__(
        self,
        model: FCOS,
        raw_heads: bool = False,
        suppress: Callable[..., Tensor] = kept_by_suppression,
        num_winograd: int = 0,
    ) -> None:
        """
        Args:
            model: a trained detector.
            raw_heads: give the boxes and scores of all locations, for engines with a suppression
                of their own.
            suppress: `kept_by_suppression` or `suppression_operator`.
            num_winograd: see `with_exportable_towers`.

        Raises:
            ValueError: a model whose detections are not capped (graphs have outputs of fixed
                size); or one that does not profit from Winograd.
        """
        super().__init__()
        generator = model.proposal_generator
        selection = generator.test_selection
        if selection.max_detections < 1:
            raise ValueError(
                "MODEL.FCOS.POST_NMS_TOPK_TEST must be at least 1 for an export, got "
                f"{selection.max_detections}"
            )
        self.backbone: Backbone = fold_batch_norms(model.backbone)
        self.head = with_exportable_towers(generator.fcos_head, num_winograd)
        self.generator = generator
        self.raw_heads = raw_heads
        self.suppress = suppress
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", model.pixel_mean.flatten().clone(), persistent=False)
        self.register_buffer("std", model.pixel_std.flatten().clone(), persistent=False)

    def forward(
        self,
        images: Tensor,
        image_sizes: Tensor,
        mean: Tensor | None = None,
        std: Tensor | None = None,
        score_thresh: Tensor | None = None,
        nms_thresh: Tensor | None = None,
        min_scores: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """
        Args:
            images: (N, H, W, 3) uint8 in the channel order of the model, each in the upper left
                corner of a canvas whose sides are multiples of its size divisibility; what the
                canvas holds beside the image does not matter.
            image_sizes: (N, 2) int64 height and width of the images, px.
            mean, std: (3,) grey levels; None takes those of the model, here and below.
            score_thresh: scalar, see `select_detections`.
            nms_thresh: scalar, see `select_detections`.
            min_scores: (K,), see `Selection`; None: any score, whatever the model's selection says.

        Returns:
            boxes (N, D, 4) xyxy px, clipped to the image, scores (N, D) best first, classes (N, D)
            int64; D is max_detections, or less where there never are as many candidates, and the
            score of unused rows is 0. With `raw_heads` boxes (N, R, 4), not clipped, and scores
            (N, R, K).
        """
        features = self.backbone(
            normalized(
                images,
                image_sizes,
                self.mean if mean is None else mean,
                self.std if std is None else std,
            )
        )
        outputs = self.head([features[name] for name in self.generator.in_features])
        levels = self._decode(outputs.at_least_float32(), (images.shape[1], images.shape[2]))
        if self.raw_heads:
            boxes, _, products = (torch.cat(field, dim=1) for field in zip(*levels, strict=True))
            return boxes, self._score(products)
        selection = self.generator.test_selection
        score_thresh = selection.score_thresh if score_thresh is None else score_thresh
        nms_thresh = selection.nms_thresh if nms_thresh is None else nms_thresh
        candidates = [self._candidates(*level, score_thresh, min_scores) for level in levels]
        return self._select(candidates, image_sizes, nms_thresh)

    def _decode(
        self, outputs: HeadOutputs, padded_size: tuple[int, int]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each level boxes (N, Hi * Wi, 4), and (N, Hi * Wi, K) of class probabilities and of
        their products with the quality.
        """
        generator = self.generator
        sizes = [(level.shape[-2], level.shape[-1]) for level in outputs.cls_logits]
        grids = location_grids(sizes, generator.strides, padded_size, generator.location_rule)
        levels = []
        for i, (grid, stride) in enumerate(zip(grids, generator.strides, strict=True)):
            ltrb = _by_location(outputs.ltrb_in_strides[i]) * stride
            products = probabilities = _by_location(outputs.cls_logits[i]).sigmoid()
            if outputs.quality_logits:
                products = probabilities * _by_location(outputs.quality_logits[i]).sigmoid()
            boxes = ltrb_to_boxes(level_locations(grid, like=ltrb), ltrb)
            levels.append((boxes, probabilities, products))
        return levels

    def _score(self, products: Tensor) -> Tensor:
        return products.sqrt() if self.head.quality_branch else products

    def _candidates(
        self,
        boxes: Tensor,
        probabilities: Tensor,
        products: Tensor,
        score_thresh: Tensor | float,
        min_scores: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The best of one level: boxes (N, C, 4), products (N, C), 0 for none, classes (N, C)."""
        selection = self.generator.test_selection
        topk, num_classes = selection.topk_candidates, probabilities.shape[2]
        compared = products if selection.thresh_with_quality else probabilities
        # Not by torch.where, which takes engines several times as long as a product.
        above = (compared > score_thresh).to(products.dtype)
        if min_scores is not None:
            lowest = min_scores**2 if self.head.quality_branch else min_scores
            above = above * (products >= lowest).to(products.dtype)
        products = (products * above).flatten(1)
        # So that there are always enough to choose from, whatever the size of the level.
        products, idxs = F.pad(products, (0, topk)).topk(topk, dim=1)
        locations = (idxs // num_classes).clamp(max=boxes.shape[1] - 1)
        boxes = boxes.gather(1, locations[..., None].expand(-1, -1, 4))
        return boxes, products, idxs % num_classes

    def _select(
        self,
        levels: list[tuple[Tensor, Tensor, Tensor]],
        image_sizes: Tensor,
        nms_thresh: Tensor | float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        selection, generator = self.generator.test_selection, self.generator
        boxes, products, classes = (torch.cat(field, dim=1) for field in zip(*levels, strict=True))
        # (N, 1, 4): width, height, width, height
        limits = image_sizes.to(boxes.dtype).flip(1).repeat(1, 2)[:, None]
        clipped = torch.minimum(boxes.clamp(min=0), limits)
        scores = self._score(products)
        if selection.nms_thresh > 0:
            kept = self.suppress(
                clipped if selection.clip_before_nms else boxes,
                scores,
                classes,
                nms_thresh,
                generator.num_classes,
            )
            scores = torch.where(kept, scores, 0.0)
        num_candidates = len(levels) * selection.topk_candidates
        scores, best = scores.topk(min(selection.max_detections, num_candidates), dim=1)
        boxes = clipped.gather(1, best[..., None].expand(-1, -1, 4))
        return boxes, scores, classes.gather(1, best)


def normalized(images: Tensor, image_sizes: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W), 0 beside the images, as in a batch of detectron2."""
    x = images.permute(0, 3, 1, 2).to(mean.dtype)
    x = (x - mean[:, None, None]) / std[:, None, None]
    rows = torch.arange(images.shape[1], device=images.device)
    columns = torch.arange(images.shape[2], device=images.device)
    inside = (rows < image_sizes[:, :1])[:, :, None] & (columns < image_sizes[:, 1:])[:, None]
    return x * inside[:, None].to(x.dtype)


def _by_location(level: Tensor) -> Tensor:
    """(N, C, Hi, Wi) -> (N, Hi * Wi, C)."""
    return level.flatten(2).transpose(1, 2)
