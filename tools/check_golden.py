"""Checks our models against golden data: one line for each configuration, exit code 1 on a miss.

    python tools/check_golden.py ../shared/golden

A folder of golden data holds <name>.keys.json, the entries of a state dict, and for some names
also numbers: head outputs, losses, gradients, statistics, targets and detections. Weights and
images follow from rules (golden_rules.py), so nothing has to be downloaded.
"""

import argparse
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import golden_rules as rules
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.structures import Instances
from torch import Tensor

from fcos_d2.modeling import FCOS
from fcos_d2.modeling.geometry import LocationGrid, level_locations
from fcos_d2.modeling.head import HeadOutputs

# Tolerances of spec.md, section 4.
HEAD, LOSS, GRADIENT, GRADIENT_FLOOR, STATISTIC = 1e-5, 1e-6, 1e-5, 1e-6, 1e-5
TARGET, BOX_PX, SCORE = 1e-5, 1e-3, 1e-6


@dataclass
class Report:
    """What was compared for one configuration."""

    name: str
    checked: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    worst: float = 0.0  # relative difference of numbers; boxes count in px, scores as they are

    def compare(self, what: str, actual: object, expected: object, tolerance: float, scale=None):
        """Numbers within `tolerance`, relative to `scale` (default: each expected value)."""
        actual, expected = (np.asarray(x, dtype=np.float64) for x in (actual, expected))
        if actual.shape != expected.shape:
            self.misses.append(f"{what}: shape {actual.shape}, expected {expected.shape}")
            return
        if not actual.size:
            return
        scale = np.abs(expected) if scale is None else scale
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.nan_to_num(np.abs(actual - expected) / scale, nan=0.0, posinf=np.inf)
        at = np.unravel_index(relative.argmax(), relative.shape)
        self.worst = max(self.worst, relative[at])
        if not relative[at] <= tolerance:
            self.misses.append(f"{what}: {actual[at]:.9g}, expected {expected[at]:.9g}")

    def same(self, what: str, actual: object, expected: object) -> None:
        """Exactly equal."""
        if actual != expected:
            self.misses.append(f"{what}: {_short(actual)}, expected {_short(expected)}")

    def __str__(self) -> str:
        result = f"worst relative difference {self.worst:.1e}" if self.worst else "equal"
        verdict = f"MISS {'; '.join(self.misses)}" if self.misses else "ok"
        return f"{self.name}: {', '.join(self.checked)}: {result}: {verdict}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def check(folder: Path, name: str) -> Report:
    """Compares everything that `folder` has for the configuration `name`.

    Raises:
        ValueError: the name is not that of a known configuration.
    """
    report = Report(name)
    cfg = rules.config_of(folder, name)
    if (keys := folder / f"{name}.keys.json").is_file():
        check_keys(report, cfg, rules.read_json(keys))
    if not (folder / f"{name}.json").is_file():
        return report
    info = rules.read_json(folder / f"{name}.json")
    model = build_model(cfg).double()
    rules.fill_model(model, info["stem_factor"])
    batch = rules.input_batch(folder)
    arrays = np.load(folder / f"{name}.npz") if (folder / f"{name}.npz").is_file() else {}
    check_inference(report, model.eval(), batch, arrays, info)
    check_targets(report, model, batch, arrays, info)
    check_training(report, model.train(), batch, folder, info)
    return report


def check_keys(report: Report, cfg: CfgNode, expected: list) -> None:
    """The state dict, in order: names, shapes and types."""
    report.checked.append(f"{len(expected)} keys")
    cfg = cfg.clone()
    cfg.MODEL.DEVICE = "meta"
    with torch.device("meta"):  # without memory behind the tensors
        state = build_model(cfg).state_dict()
    actual = [
        [key, list(x.shape), str(x.dtype).removeprefix("torch.")]
        for key, x in state.items()
        if not key.endswith("moving_num_pos")  # a buffer of ours, which resumes exactly
    ]
    for ours, theirs in zip(actual, expected, strict=False):
        if ours != theirs:
            report.same("key", ours, theirs)
            return
    report.same("number of keys", len(actual), len(expected))


# --- inference ----------------------------------------------------------------------------------


@torch.no_grad()
def check_inference(report: Report, model: FCOS, batch: list, arrays: dict, info: dict) -> None:
    """Head outputs, candidates, and detections at three stages."""
    generator = model.proposal_generator
    seen = {}
    hooks = [
        generator.register_forward_pre_hook(lambda _, args: seen.update(images=args[0])),
        generator.fcos_head.register_forward_hook(lambda _, __, x: seen.update(outputs=x)),
    ]
    final = [x["instances"] for x in model(batch)]
    for hook in hooks:
        hook.remove()
    images, outputs = seen["images"], seen["outputs"]
    for field_name, levels in zip(("logits", "reg", "ctr"), outputs[:3], strict=True):
        for level, actual in enumerate(levels):
            if (key := f"eval_{field_name}_{level}") in arrays:
                expected = arrays[key]
                report.compare(key, actual, expected, HEAD, scale=np.abs(expected).max())
    report.checked += ["head outputs"] * any(key.startswith("eval_") for key in arrays)

    grids = _grids(generator.strides, outputs)
    locations = [level_locations(grid, like=outputs.cls_logits[0]) for grid in grids]
    outputs = outputs._replace(box_features=rules.location_markers(outputs.cls_logits))
    generator.yield_box_features = True
    for i, image in enumerate("AB"):
        counts = _candidates(outputs, i, generator.test_selection)
        report.same(f"candidates {image}", counts, info["eval"][image]["candidates_per_level"])
    uncut = {**generator.test_selection, "max_detections": 0}
    stages = {
        "nms": generator.detect(images, locations, outputs, uncut),
        "raw": generator.detect(images, locations, outputs, generator.test_selection),
    }
    generator.yield_box_features = False
    stages["det"] = final
    for stage, instances in stages.items():
        for image, found in zip("AB", instances, strict=True):
            if f"{stage}_{image}_boxes" in arrays:
                check_detections(report, f"{stage}_{image}", found, arrays, generator.strides)
    report.checked.append("detections")


def check_detections(
    report: Report, stage: str, found: Instances, arrays: dict, strides: list[int]
) -> None:
    """The same set in the same order, and where each comes from."""
    report.same(
        f"{stage} classes", found.pred_classes.tolist(), arrays[f"{stage}_classes"].tolist()
    )
    report.compare(f"{stage} scores", found.scores, arrays[f"{stage}_scores"], SCORE, scale=1.0)
    boxes = found.pred_boxes.tensor
    report.compare(f"{stage} boxes", boxes, arrays[f"{stage}_boxes"], BOX_PX, scale=1.0)
    if f"{stage}_levels" in arrays:
        levels, cells = found.box_features[:, 0].long(), found.box_features[:, 1:]
        report.same(f"{stage} levels", levels.tolist(), arrays[f"{stage}_levels"].tolist())
        stride = torch.tensor(strides)[levels][:, None]
        at = (cells * stride + stride // 2).tolist()
        report.same(f"{stage} locations", at, arrays[f"{stage}_locations"].tolist())


def _grids(strides: list[int], outputs: HeadOutputs) -> list[LocationGrid]:
    sizes = (x.shape[-2:] for x in outputs.cls_logits)
    return [LocationGrid.of_level(*size, s) for size, s in zip(sizes, strides, strict=True)]


def _candidates(outputs: HeadOutputs, image: int, selection: dict) -> list[int]:
    """How many pairs of location and class of an image pass the threshold on each level."""
    counts = []
    for cls_logits, quality_logits in zip(outputs.cls_logits, outputs.quality_logits, strict=True):
        scores = cls_logits[image].sigmoid()
        if selection["thresh_with_quality"]:
            scores = scores * quality_logits[image].sigmoid()
        counts.append((scores > selection["score_thresh"]).sum().item())
    return counts


# --- training -----------------------------------------------------------------------------------


def check_targets(report: Report, model: FCOS, batch: list, arrays: dict, info: dict) -> None:
    """Labels and box indices exactly, distances within 1e-5 strides."""
    generator = model.proposal_generator
    sizes = [tuple(size[-2:]) for size in info["levels"]]
    grids = [
        LocationGrid.of_level(*size, stride)
        for size, stride in zip(sizes, generator.strides, strict=True)
    ]
    levels = rules.level_targets(
        [x["instances"] for x in batch],
        grids,
        generator.strides,
        generator.size_ranges,
        generator.center_sampling_radius,
        generator.num_classes,
    )
    num_pos = [len(level["reg_pos"]) for level in levels]
    report.same("positives per level", num_pos, info["num_pos_per_level"])
    for i, level in enumerate(levels):
        for key in ("labels", "gtind_pos"):
            if (stored := f"target_{key}_{i}") in arrays:
                report.same(stored, level[key].tolist(), arrays[stored].tolist())
        if (stored := f"target_reg_pos_{i}") in arrays:
            report.compare(stored, level["reg_pos"], arrays[stored], TARGET, scale=1.0)
    report.checked.append("targets")


def check_training(report: Report, model: FCOS, batch: list, folder: Path, info: dict) -> None:
    """Losses, gradients and running statistics of one step, and the losses of a second one."""
    losses = model(batch)
    sum(losses.values()).backward()
    _check_losses(report, "", losses, info["losses"])
    report.checked.append("losses")
    if (path := folder / f"{report.name}.grads.json").is_file():
        _check_gradients(report, model, rules.read_json(path))
    if (path := folder / f"{report.name}.buffers_after_train.json").is_file():
        buffers = dict(model.named_buffers())
        for key, norm in rules.read_json(path).items():
            actual = buffers[key].double().norm().item()
            report.compare(key, actual, norm, STATISTIC, scale=max(abs(norm), 1e-12))
        report.checked.append("statistics")
    if "losses_second_call" in info:
        _check_losses(report, "second ", model(batch), info["losses_second_call"])
        moving = model.proposal_generator.loss_normalizers.moving_num_pos
        report.compare("moving positives", moving, info["moving_num_fg_after_two_calls"], LOSS)


def _check_losses(report: Report, call: str, losses: dict[str, Tensor], expected: dict) -> None:
    report.same(f"{call}losses", sorted(losses), sorted(expected))
    for name in losses.keys() & expected.keys():
        report.compare(f"{call}{name}", losses[name].item(), expected[name], LOSS)


def _check_gradients(report: Report, model: FCOS, expected: dict[str, float | None]) -> None:
    for key, parameter in model.named_parameters():
        norm = expected[key]
        if norm == 0 and parameter.grad is None:
            continue  # parameters without effect, which are frozen here (section 9, item 4)
        if (norm is None) != (parameter.grad is None):
            report.misses.append(f"gradient of {key}: {parameter.grad}, expected {norm}")
        elif norm is not None:
            actual = parameter.grad.norm().item()
            # Biases before a batch norm have gradients of rounding noise, hence the floor.
            scale = max(abs(norm), GRADIENT_FLOOR / GRADIENT)
            report.compare(f"gradient of {key}", actual, norm, GRADIENT, scale=scale)
    report.checked.append("gradients")


# --- command line -------------------------------------------------------------------------------


def names_in(folder: Path) -> list[str]:
    """The configurations of a folder.

    Raises:
        ValueError: no folder, or none of golden data.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    with_keys = {path.name.removesuffix(".keys.json") for path in folder.glob("*.keys.json")}
    with_numbers = {path.name.removesuffix(".grads.json") for path in folder.glob("*.grads.json")}
    if not with_keys | with_numbers:
        raise ValueError(f"{folder}: holds no golden data (<name>.keys.json)")
    return sorted(with_keys | with_numbers)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of golden data")
    parser.add_argument("names", nargs="*", help="configurations; default: all in the folder")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    misses = 0
    try:
        for name in args.names or names_in(args.folder):
            report = check(args.folder, name)
            misses += bool(report.misses)
            print(report, flush=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
