"""The losses of training, on images that it does not learn from."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from detectron2.data import MetadataCatalog
from detectron2.utils import comm
from detectron2.utils.logger import log_first_n
from torch import Tensor, nn

from ..class_names import positions
from ..modeling import FCOS, FCOSProposalGenerator
from ..modeling.modes import evaluating
from .console import watched
from .example_images import with_ground_truth
from .run_parts import Run
from .wrapping import unwrapped

ORDER = 0  # seed of the order in which images are put into batches


class WithTruth:
    """A mapper of test images that keeps what training would learn of them."""

    def __init__(
        self,
        mapper: Callable[[dict], dict],
        class_ids: Sequence[int] | None = None,
        crowd_boxes: bool = False,
    ) -> None:
        """
        Args:
            mapper: of the test loader.
            class_ids: of the model, by the index of a class of the dataset; None: they are equal.
            crowd_boxes: crowd regions are learned, too.
        """
        self.mapper = mapper
        self.class_ids = class_ids
        self.crowd_boxes = crowd_boxes

    def __call__(self, record: dict) -> dict:
        if self.crowd_boxes and "annotations" in record:
            record = {**record, "annotations": [{**a, "iscrowd": 0} for a in record["annotations"]]}
        entry = with_ground_truth(self.mapper(record), record, self.class_ids)
        if "instances" in entry:
            instances = entry["instances"]
            instances.gt_boxes.clip(instances.image_size)
            entry["instances"] = instances[instances.gt_boxes.nonempty(threshold=1e-5)]
        return entry


class ValidationLoss:
    """Measures a model as training does, but without augmentation and with norms as in evaluation.

    Of each image alone the losses are summed; they are divided in batches of the size of those of
    training, in an order that is mixed once and for all. So the mean is that of training, whatever
    the batches of the loader are and however many ranks share the images.
    """

    def __init__(self, run: Run, class_names: Sequence[str] | None = None) -> None:
        """
        Args:
            run: with test sets and the size of a batch.
            class_names: of the model; None: those of the datasets, in their order.
        """
        self.run = run
        self.class_names = class_names
        self.batch_size = run.training().total_batch_size
        self.crowd_boxes = getattr(run.build_train_mapper(), "use_crowd_boxes", False)

    def __call__(self, model: nn.Module, dataset_name: str) -> dict[str, float]:
        """
        Args:
            model: a detector with FCOS, maybe distributed.
            dataset_name: of a test set.

        Returns:
            The losses of FCOS by their names, and total_loss; {} for a set without annotations
            and on other ranks than the first.

        Raises:
            ValueError: the model has other losses.
        """
        found: list[tuple[list[str], Tensor]] = []
        with evaluating(model), torch.no_grad():
            for batch in watched(self.loader(dataset_name), "losses"):
                found += sums_of_batch(model, batch)
        mine = None
        if found:
            mine = found[0][0], torch.stack([sums for _, sums in found]).cpu().double()
        gathered = comm.gather(mine)
        return self._mean(model, dataset_name, gathered) if comm.is_main_process() else {}

    def loader(self, dataset_name: str) -> Any:
        """Batches of a test set with ground truth."""
        classes = MetadataCatalog.get(dataset_name).get("thing_classes")
        if classes is None:
            ids: Sequence[int] | None = None
        else:
            ids = positions(classes, self.class_names or classes)
        mapper = WithTruth(self.run.build_test_mapper(), ids, self.crowd_boxes)
        return self.run.build_test_loader(dataset_name, mapper)

    def _mean(
        self,
        model: nn.Module,
        dataset_name: str,
        gathered: list[tuple[list[str], Tensor] | None],
    ) -> dict[str, float]:
        """Over batches, each counted by its images; ranks without images gathered None."""
        some = [pair for pair in gathered if pair is not None]
        if not some:
            source = MetadataCatalog.get(dataset_name).get("source", dataset_name)
            text = f"{source} has no annotations, so there is no validation loss"
            log_first_n(logging.WARNING, text, name=__name__, key="message")
            return {}
        names, sums = some[0][0], torch.cat([rows for _, rows in some])
        sums = sums[torch.randperm(len(sums), generator=torch.Generator().manual_seed(ORDER))]
        means = dict.fromkeys(names, 0.0)
        for batch in sums.split(self.batch_size):
            share = len(batch) / len(sums)
            # The last one is smaller: its images count as often as fills it.
            whole = batch.mean(0) * self.batch_size
            for name, loss in divided(model, names, whole).items():
                means[name] += share * loss
        return {**means, "total_loss": sum(means.values())}


def sums_of_batch(model: nn.Module, batch: list[dict]) -> list[tuple[list[str], Tensor]]:
    """`sums_of_image` of each image with ground truth."""
    return [sums_of_image(model, entry) for entry in batch if "instances" in entry]


def sums_of_image(model: nn.Module, entry: dict) -> tuple[list[str], Tensor]:
    """The names of k losses, and (k + L + 2,): their sums in one image, and its `target_sums`."""
    detector: Any = unwrapped(model)
    generator = _generator(detector)
    prepare = detector.preprocess if isinstance(detector, FCOS) else detector.preprocess_image
    images = prepare([entry])
    features = detector.backbone(images.tensor)
    losses, targets = generator.loss_sums(images, features, [entry["instances"]])
    return [*losses], torch.cat((torch.stack([*losses.values()]).to(targets), targets))


def divided(model: nn.Module, names: Sequence[str], sums: Tensor) -> dict[str, float]:
    """The losses of a batch as training logs them, from the sum of its `sums_of_image`."""
    generator, ranks = _generator(unwrapped(model)), comm.get_world_size()
    losses, targets = sums[: len(names)], sums[len(names) :]
    aligned = generator.assigner.needs_predictions
    divisors = generator.loss_normalizers.divisors(targets, ranks, aligned)
    pairs = zip(names, losses / ranks, divisors, strict=False)  # there may be no quality loss
    return {name: float(loss / divisor) for name, loss, divisor in pairs}


def check_has_losses(model: nn.Module) -> None:
    """Raises ValueError for a model whose losses cannot be measured here."""
    _generator(unwrapped(model))


def _generator(detector: Any) -> FCOSProposalGenerator:
    generator = getattr(detector, "proposal_generator", None)
    if not isinstance(generator, FCOSProposalGenerator):
        raise ValueError(
            f"`validation_loss` is on, but {type(detector).__name__} is no detector with FCOS, "
            "whose losses these are: switch it off"
        )
    return generator
