"""The detectors that are measured side by side: those of fcos_d2, and their exports."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What another process needs to build the same subject."""

    builder: Callable[["Recipe", tuple[int, int]], "Subject"]  # which that process can import
    source: str = ""  # of a detector of fcos_d2 the config, of an export its folder
    weights: str | None = None  # None: random ones
    precision: str = "fp32"  # one of PRECISIONS; an export has its own
    device: str = "cpu"
    threads: int | None = None  # of an export's engine


class Subject:
    """A detector from BGR uint8 images (H, W, 3) of the network's size to boxes."""

    name: str
    parameters: int | None = None

    def detect(self, images: list[np.ndarray]) -> object:
        """Boxes of the images; returns when they are there."""
        raise NotImplementedError

    def parts(self, images: list[np.ndarray]) -> dict[str, float]:
        """Milliseconds of the parts of one call."""
        raise NotImplementedError


class TorchSubject(Subject):
    """A torch module with a backbone and a head."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        head: nn.Module,
        prepare: Callable[[np.ndarray], object],
        recipe: Recipe,
    ) -> None:
        """
        Args:
            model: has an attribute `backbone`; takes the list of what `prepare` makes of an image.
            head: the module of it that predicts from the features.
        """
        self.name, self.model, self.head, self._prepare = name, model, head, prepare
        self._device = torch.device(recipe.device)
        self._dtype = PRECISIONS[recipe.precision]

    def synchronize(self) -> None:
        """GPUs run behind: only now have they done what they were asked for."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def detect(self, images: list[np.ndarray]) -> object:
        half = self._dtype != torch.float32
        with torch.no_grad(), torch.autocast(self._device.type, self._dtype, enabled=half):
            result = self.model([self._prepare(image) for image in images])
        self.synchronize()
        return result

    def parts(self, images: list[np.ndarray]) -> dict[str, float]:
        marks: list[float] = []

        def mark(*_: object) -> None:
            self.synchronize()
            marks.append(time.perf_counter())

        modules = (self.model.get_submodule("backbone"), self.head)
        hooks = [
            register(mark)
            for module in modules
            for register in (module.register_forward_pre_hook, module.register_forward_hook)
        ]
        mark()
        self.detect(images)
        mark()
        for hook in hooks:
            hook.remove()
        # start, backbone from, to, head from, to, end
        start, backbone, features, _, predictions, end = marks
        names = ("preprocess", "backbone", "head", "post-process")
        steps = (backbone - start, features - backbone, predictions - features, end - predictions)
        return {name: step * 1e3 for name, step in zip(names, steps, strict=True)}


class Export(Subject):
    """An exported model, run by the deploy package."""

    def __init__(self, recipe: Recipe, size: tuple[int, int]) -> None:
        """
        Raises:
            ValueError: not an export, or one for another size.
        """
        try:
            from fcos_deploy.detector import Detector
        except ModuleNotFoundError:
            raise ValueError(
                "--export runs by the deploy package: pip install ./deploy (or set "
                "PYTHONPATH=deploy)"
            ) from None
        self._detector = Detector(recipe.source, recipe.threads)
        settings = self._detector.settings
        if settings.fixed_size not in (None, size):
            height, width = settings.fixed_size
            raise ValueError(
                f"{recipe.source}: takes {height}x{width} only, not {size[0]}x{size[1]}; "
                f"say --size {height}x{width}, or export with a dynamic size"
            )
        # The images have the size of the network already, as everyone's here.
        self._detector.settings = dataclasses.replace(
            settings, short_side=min(size), long_side=max(size)
        )
        self.name = f"{Path(recipe.source).name} ({self._detector.engine.name})"

    def detect(self, images: list[np.ndarray]) -> object:
        return self._detector.detect(images)

    def parts(self, images: list[np.ndarray]) -> dict[str, float]:
        marks = [time.perf_counter()]
        batches = self._detector.preprocess(images)
        marks.append(time.perf_counter())
        outputs = [self._detector.engine.run(*batch.inputs) for batch in batches]
        marks.append(time.perf_counter())
        self._detector.postprocess(batches, outputs, [x.shape[:2] for x in images])
        marks.append(time.perf_counter())
        names = ("preprocess", "engine", "post-process")
        return {
            name: (end - start) * 1e3
            for name, start, end in zip(names, marks, marks[1:], strict=False)
        }


def build(recipe: Recipe, size: tuple[int, int]) -> Subject:
    """The subject of a recipe, for images of height and width `size`.

    Raises:
        ValueError: bad config, weights or export; names it.
    """
    torch.manual_seed(0)  # random weights are the same in each process
    return recipe.builder(recipe, size)


def detector(recipe: Recipe, size: tuple[int, int]) -> Subject:
    """As the predictor runs it: BatchNorm folded, channels last, on GPUs with halved weights."""
    from fcos_d2 import model_zoo
    from fcos_d2.checkpoint import FCOSCheckpointer
    from fcos_d2.modeling.folding import fold_batch_norms
    from fcos_d2.modeling.half import halve_on_gpu

    model = model_zoo.get_model(recipe.source, device_options(recipe)).to(recipe.device).eval()
    if recipe.weights:
        FCOSCheckpointer(model).load(recipe.weights, checkpointables=[])
    parameters = sum(x.numel() for x in model.parameters())
    folded: Any = fold_batch_norms(model)
    if recipe.precision != "fp32" and not halve_on_gpu(folded, PRECISIONS[recipe.precision]):
        recipe = dataclasses.replace(recipe, precision="fp32")  # no autocast
    head = folded.proposal_generator.fcos_head
    subject = TorchSubject(f"fcos_d2 {recipe.source}", folded, head, detectron2_input, recipe)
    subject.parameters = parameters
    return subject


def device_options(recipe: Recipe) -> list[str]:
    """The override that keeps a config of either kind from asking for a GPU."""
    from fcos_d2 import model_zoo

    if model_zoo.get_config_file(recipe.source).endswith(".py"):
        return [f"train.device={recipe.device}"]
    return ["MODEL.DEVICE", recipe.device]


def detectron2_input(image: np.ndarray) -> dict:
    """BGR uint8 (H, W, 3) as one of detectron2's inputs."""
    from fcos_d2.data.resize import to_planes

    tensor = torch.from_numpy(to_planes(image))
    return {"image": tensor, "height": image.shape[0], "width": image.shape[1]}
