"""What the saved config.yaml of a LazyConfig may build.

A `_target_` there is a name that gets called. Only classes and functions that make parts of a
detector or of its training may be. What counts is where they are defined, not how they are named.
"""

import dataclasses
import importlib
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any

from detectron2.utils.registry import _convert_target_to_string

TARGET = "_target_"
# Modules, with all below them, whose classes are parts of a detector or of its training...
CLASSES_OF = [
    *("fcos_d2.modeling", "fcos_d2.evaluation", "fcos_d2.data.augmentation"),
    *("fcos_d2.data.augmentation_color", "fcos_d2.data.augmentation_geometry"),
    *("fcos_d2.data.augmentation_square", "fcos_d2.data.mapper", "fcos_d2.data.mixing"),
    *("detectron2.modeling", "detectron2.layers", "detectron2.structures", "detectron2.solver"),
    *("detectron2.data.transforms", "detectron2.data.samplers", "detectron2.data.dataset_mapper"),
    "detectron2.evaluation",
    *("fvcore.common.param_scheduler", "fvcore.transforms"),
    *("torch.nn", "torch.optim", "torch.utils.data.dataloader", "torch.utils.data.dataset"),
    *("torch.utils.data.sampler", "torch.utils.data.distributed"),
    *("torchvision.models", "torchvision.ops", "torchvision.transforms"),
    *("timm.models", "timm.layers", "timm.optim", "timm.scheduler"),
]
# ... whose functions are, too ...
FUNCTIONS_OF = ["fcos_d2.modeling", "detectron2.modeling", "detectron2.layers", "torchvision.ops"]
# ... and single functions. Others read and write files, start programs or import by name.
FUNCTIONS = {
    "detectron2.data.build.build_detection_test_loader",
    "detectron2.data.build.build_detection_train_loader",
    "detectron2.data.build.get_detection_dataset_dicts",
    "detectron2.solver.build.get_default_optimizer_params",
    "fcos_d2.data.augmentation_color.color_jitter",
    "fcos_d2.datasets.training_set.training_records",
    "fcos_d2.data.loader.build_training_loader",
    "fcos_d2.engine.optimizer.flat_cosine",
    "fcos_d2.engine.optimizer.parameter_groups",
    "fcos_d2.evaluation.metrics.build_evaluator",
    "timm.models._factory.create_model",
}
# Builds whatever mmdetection's own registry finds by name.
REFUSED = ["detectron2.modeling.mmdet_wrapper"]
# Arguments that name files which can run code: detectron2 reads proposals from pickles.
REFUSED_ARGUMENTS = ("proposal_files",)


def allow_config_targets(*modules: str) -> None:
    """Lets config.yaml files build the classes and functions that these modules define.

    Args:
        modules: such as "my_package.models"; all modules below them count, too.
    """
    CLASSES_OF.extend(modules)
    FUNCTIONS_OF.extend(modules)


def has_targets(tree: object) -> bool:
    """Whether a tree of dicts and lists is that of a LazyConfig."""
    if isinstance(tree, dict):
        return TARGET in tree or any(has_targets(value) for value in tree.values())
    return isinstance(tree, list) and any(has_targets(value) for value in tree)


def resolve_targets(tree: object) -> object:
    """The tree with what is called in place of its name.

    Args:
        tree: of dicts, lists and values.

    Raises:
        ValueError: a target that a config may not build, or a text that omegaconf would turn into
            one later.
    """
    if isinstance(tree, list):
        return [resolve_targets(value) for value in tree]
    if isinstance(tree, str) and "${" in tree and ":" in tree:
        raise ValueError(f"{tree!r} has omegaconf work out a value")
    if not isinstance(tree, dict):
        return tree
    resolved = {key: resolve_targets(value) for key, value in tree.items()}
    if TARGET in tree:
        target = resolve_target(tree[TARGET])
        # Omegaconf would make an instance of a dataclass at once: these stay the names that
        # LazyCall gives them.
        is_data = dataclasses.is_dataclass(target)
        resolved[TARGET] = _convert_target_to_string(target) if is_data else target
        given = [name for name in REFUSED_ARGUMENTS if tree.get(name)]
        if given:
            raise ValueError(f"{given[0]} of {tree[TARGET]} is a pickle, which can run code")
    return resolved


def resolve_target(name: object) -> Callable:
    """The class or function of that name.

    Raises:
        ValueError: it is not there, or none that a config may build.
    """
    refusal = ValueError(f"{TARGET} {name!r} is not among what a config.yaml may build")
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise refusal
    root, *parts = name.split(".")
    modules = (*CLASSES_OF, *FUNCTIONS_OF, *(f.rpartition(".")[0] for f in FUNCTIONS))
    if root not in {module.split(".")[0] for module in modules}:
        raise refusal
    found: Any = _import(root)
    path = root
    for part in parts:
        path = f"{path}.{part}"
        if part.startswith("__"):
            raise refusal
        if isinstance(found, ModuleType) and not hasattr(found, part):
            # Importing runs a module: only those on the way.
            if not any(f"{m}.".startswith(f"{path}.") or _is_in(path, [m]) for m in modules):
                raise refusal
            found = _import(path)
        elif isinstance(found, (ModuleType, type)):
            found = getattr(found, part, None)
        else:
            raise refusal
        if isinstance(found, ModuleType) and found.__name__.split(".")[0] != root:
            raise refusal
    if not _may_be_built(found):
        raise refusal
    return found


def _may_be_built(found: object) -> bool:
    function = found.__func__ if isinstance(found, MethodType) else found
    if isinstance(found, MethodType) and not isinstance(found.__self__, type):
        return False
    if not isinstance(function, (type, FunctionType)) or _is_in(function.__module__, REFUSED):
        return False
    if isinstance(function, type):
        return _is_in(function.__module__, CLASSES_OF)
    # What was decorated keeps its name: both must be at home.
    homes = {function.__module__, function.__globals__["__name__"]}
    name = f"{function.__module__}.{function.__qualname__}"
    return name in FUNCTIONS or all(_is_in(home, FUNCTIONS_OF) for home in homes)


def _import(path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise ValueError(f"{TARGET} names the module {path}, which is not there") from error


def _is_in(module: str, modules: list[str]) -> bool:
    return any(f"{module}.".startswith(f"{other}.") for other in modules)
