"""Whole models against what a folder of golden data has for them."""

from dataclasses import dataclass, replace
from pathlib import Path

import golden_rules as rules
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.modeling import build_model
from golden_compare import (
    GRADIENT,
    GRADIENT_FLOOR,
    HEAD,
    LOSS,
    STATISTIC,
    TARGET,
    Report,
    compare_detections,
    compare_losses,
    grids_of,
    level_targets,
    location_markers,
)
from golden_configs import config_of
from torch import Tensor

from fcos_d2.modeling import FCOS, Selection
from fcos_d2.modeling.head import HeadOutputs

# The fields of HeadOutputs in the data.
FIELDS = ("logits", "reg", "ctr")


@dataclass
class Records:
    """What a folder has for one configuration; empty where there is no file."""

    keys: list
    info: dict
    arrays: dict[str, np.ndarray]  # every comparison takes its arrays out
    gradients: dict[str, float | None]
    statistics: dict[str, float]

    @classmethod
    def read(cls, folder: Path, name: str) -> "Records":
        def read(kind: str) -> dict | list:
            path = folder / f"{name}{kind}"
            if not path.is_file():
                return {}
            return rules.read_arrays(path) if kind == ".npz" else rules.read_json(path)

        return cls(
            keys=read(".keys.json"),
            info=read(".json"),
            arrays=read(".npz"),
            gradients=read(".grads.json"),
            statistics=read(".buffers_after_train.json"),
        )


def check_model(folder: Path, name: str) -> Report:
    """Compares everything that `folder` has for the configuration `name`.

    Raises:
        ValueError: the name is not that of a known configuration, there is nothing to compare, or
            a file is damaged.
    """
    report, records = Report(name), Records.read(folder, name)
    cfg = config_of(name, records.info)
    if not any(vars(records).values()):
        raise ValueError(f"{name}: {folder} holds nothing for it")
    if records.keys:
        check_keys(report, cfg, records.keys)
    if "settings" in records.info:
        check_settings(report, cfg, records.info["settings"])
    if not (records.info or records.arrays or records.gradients or records.statistics):
        return report  # keys only
    model = build_model(cfg).double()
    rules.fill_model(model, rules.stem_factor_of(cfg))
    batch = rules.input_batch(folder)
    outputs = check_inference(report, model.eval(), batch, records)
    check_targets(report, model, batch, outputs, records)
    check_training(report, model.train(), batch, records)
    report.nothing_left(records.arrays)
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


def check_settings(report: Report, cfg: CfgNode, expected: dict) -> None:
    """That the name led to the right config: what decides the numbers."""
    for key, value in expected["fcos"].items():
        report.same(f"MODEL.FCOS.{key}", cfg.MODEL.FCOS.get(key), value)
    report.same("PIXEL_MEAN", cfg.MODEL.PIXEL_MEAN, expected["pixel_mean"])
    report.same("PIXEL_STD", cfg.MODEL.PIXEL_STD, expected["pixel_std"])
    report.checked.append("settings")


# --- inference ----------------------------------------------------------------------------------


@torch.no_grad()
def check_inference(report: Report, model: FCOS, batch: list, records: Records) -> HeadOutputs:
    """Head outputs, candidates, and detections at three stages."""
    generator, arrays = model.proposal_generator, records.arrays
    seen = {}
    hooks = [
        generator.register_forward_pre_hook(lambda _, args: seen.update(images=args[0])),
        generator.fcos_head.register_forward_hook(lambda _, __, x: seen.update(outputs=x)),
    ]
    # The recorded batch was padded to its largest image, as a batch is in training.
    final = [x["instances"] for x in model.detect_padded(batch)]
    for hook in hooks:
        hook.remove()
    images, outputs = seen["images"], seen["outputs"]
    _check_head_outputs(report, outputs, records)

    grids = grids_of(outputs.cls_logits, generator.strides)
    marked = outputs._replace(box_features=location_markers(outputs.cls_logits))
    generator.yield_box_features = True
    for i, (image, expected) in enumerate(records.info.get("eval", {}).items()):
        counts = _candidates(marked, i, generator.test_selection)
        report.same(f"candidates {image}", counts, expected["candidates_per_level"])
    uncut = replace(generator.test_selection, max_detections=0)
    stages = {
        "nms": generator.detect(images, grids, marked, uncut),
        "raw": generator.detect(images, grids, marked, generator.test_selection),
    }
    generator.yield_box_features = False
    stages["det"] = final
    before = len(arrays)
    for stage, instances in stages.items():
        for image, found in zip(rules.INPUTS, instances, strict=True):
            if expected := _take(arrays, f"{stage}_{image}_"):
                compare_detections(report, f"{stage}_{image}", found, expected, generator.strides)
    report.checked += ["detections"] * (len(arrays) < before)
    return outputs


def _take(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Takes out the arrays whose names begin with `prefix`; their names without it."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}


def _check_head_outputs(report: Report, outputs: HeadOutputs, records: Records) -> None:
    before = len(records.arrays)
    for field, levels in zip(FIELDS, outputs[:3], strict=True):
        for level, actual in enumerate(levels):
            if (key := f"eval_{field}_{level}") in records.arrays:
                expected = records.arrays.pop(key)
                report.compare(key, actual, expected, HEAD, scale=np.abs(expected).max())
    report.checked += ["head outputs"] * (len(records.arrays) < before)
    for level, fields in enumerate(records.info.get("head_stats", [])):
        for field, levels in zip(FIELDS, outputs[:3], strict=True):
            x, expected = levels[level], fields[field]
            actual = [x.mean(), x.std(), x.min(), x.max()]
            what = f"mean, std, min or max of {field} {level}"
            report.compare(what, actual, expected, HEAD, scale=np.abs(expected).max())


def _candidates(outputs: HeadOutputs, image: int, selection: Selection) -> list[int]:
    """How many pairs of location and class of an image pass the threshold on each level."""
    counts = []
    for cls_logits, quality_logits in zip(outputs.cls_logits, outputs.quality_logits, strict=True):
        scores = cls_logits[image].sigmoid()
        if selection.thresh_with_quality:
            scores = scores * quality_logits[image].sigmoid()
        counts.append((scores > selection.score_thresh).sum().item())
    return counts


# --- training -----------------------------------------------------------------------------------


def check_targets(
    report: Report, model: FCOS, batch: list, outputs: HeadOutputs, records: Records
) -> None:
    """Labels and box indices exactly, distances within 1e-5 strides."""
    generator, arrays = model.proposal_generator, records.arrays
    levels = level_targets(
        [x["instances"] for x in batch],
        grids_of(outputs.cls_logits, generator.strides),
        generator.assigner,
        generator.num_classes,
    )
    if "num_pos_per_level" in records.info:
        num_pos = [len(level["reg_pos"]) for level in levels]
        report.same("positives per level", num_pos, records.info["num_pos_per_level"])
    before = len(arrays)
    for i, level in enumerate(levels):
        for key in ("labels", "gtind_pos"):
            if (stored := f"target_{key}_{i}") in arrays:
                report.same(stored, level[key].tolist(), arrays.pop(stored).tolist())
        if (stored := f"target_reg_pos_{i}") in arrays:
            report.compare(stored, level["reg_pos"], arrays.pop(stored), TARGET, scale=1.0)
    report.checked += ["targets"] * (len(arrays) < before)


def check_training(report: Report, model: FCOS, batch: list, records: Records) -> None:
    """Losses, gradients and running statistics of one step, and the losses of a second one."""
    head, seen, info = model.proposal_generator.fcos_head, {}, records.info
    hook = head.register_forward_hook(lambda _, __, x: seen.update(outputs=x))
    losses = model(batch)
    hook.remove()
    for field, levels in zip(FIELDS, seen["outputs"][:3], strict=True):
        for level, x in enumerate(levels):
            if (key := f"train_{field}_{level}_meanstd") in records.arrays:
                expected = records.arrays.pop(key)
                actual = [x.mean().item(), x.std().item()]
                report.compare(key, actual, expected, HEAD, scale=np.abs(expected).max())
    if "losses" in info:
        compare_losses(report, "", losses, info["losses"])
        report.checked.append("losses")
    if records.gradients:
        sum(losses.values()).backward()
        _check_gradients(report, model, records.gradients)
    if records.statistics:
        _check_statistics(report, model, records.statistics)
    if "losses_second_call" in info:
        compare_losses(report, "second", model(batch), info["losses_second_call"])
        moving = model.proposal_generator.loss_normalizers.moving_num_pos
        report.compare("moving positives", moving, info["moving_num_fg_after_two_calls"], LOSS)


def _check_gradients(report: Report, model: FCOS, expected: dict[str, float | None]) -> None:
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    report.same("parameters", sorted(gradients), sorted(expected))
    for key in gradients.keys() & expected.keys():
        norm, gradient = expected[key], gradients[key]
        if norm == 0 and gradient is None:
            continue  # parameters without effect, which are frozen here
        if (norm is None) != (gradient is None):
            report.misses.append(f"gradient of {key}: {_norm(gradient)}, expected {norm}")
        elif norm is not None:
            # Biases before a batch norm have gradients of rounding noise, hence the floor.
            scale = max(abs(norm), GRADIENT_FLOOR / GRADIENT)
            report.compare(f"gradient of {key}", _norm(gradient), norm, GRADIENT, scale=scale)
    report.checked.append("gradients")


def _norm(x: Tensor | None) -> float | None:
    return None if x is None else x.double().norm().item()


def _check_statistics(report: Report, model: FCOS, expected: dict[str, float]) -> None:
    buffers = dict(model.named_buffers())
    report.same("missing statistics", sorted(expected.keys() - buffers.keys()), [])
    for key in expected.keys() & buffers.keys():
        scale = max(abs(expected[key]), 1e-12)
        report.compare(key, _norm(buffers[key]), expected[key], STATISTIC, scale=scale)
    report.checked.append("statistics")
