"""Whether a run can go on from a checkpoint, before anything of it is loaded."""

import os
from collections.abc import Sequence

from ..class_names import difference

# How an optimiser computes, not what; torch adds to these between its versions.
IMPLEMENTATION = {
    *("foreach", "fused", "capturable", "differentiable", "maximize"),
    "decoupled_weight_decay",
}


def obstacle(
    saved: dict,
    class_names: Sequence[str] | None,
    trainer_state: dict | None,
) -> str:
    """Why a run cannot go on from what is saved; "" where it can.

    Args:
        saved: the content of the checkpoint.
        class_names: of the run; None where they are not known.
        trainer_state: of the run's trainer; None where there is none.
    """
    stored = saved.get("class_names")
    if stored and class_names and (changed := difference(stored, class_names)):
        return f"the classes of the data have changed ({changed})"
    if trainer_state is None or "trainer" not in saved:
        return ""
    theirs, ours = _optimizer(saved["trainer"]), _optimizer(trainer_state)
    if theirs is None or ours is None:
        return ""
    before, now = theirs["param_groups"], ours["param_groups"]
    if _differs(before[0], now[0]):
        return f"its optimiser was {_kind(before[0])}, now it is {_kind(now[0])}"
    if [len(group["params"]) for group in before] != [len(group["params"]) for group in now]:
        return "its optimiser learned other parameters (frozen layers, norms or model have changed)"
    return ""


def cannot_resume(path: str, save_dir: str, reason: str) -> ValueError:
    """The error of a run in `save_dir`, with the way to start from these weights anew."""
    folder = f"{os.path.normpath(save_dir)}-anew"
    return ValueError(
        f"{path}: --resume cannot go on from it, because {reason}. To start anew from these "
        f"weights, run the same command without --resume, ending in `weights={path}` "
        f"`output_dir={folder}`"
    )


def _optimizer(trainer_state: dict) -> dict | None:
    return trainer_state.get("_trainer", trainer_state).get("optimizer")


def _differs(before: dict, now: dict) -> bool:
    if (before.keys() ^ now.keys()) - IMPLEMENTATION - {"initial_lr"}:
        return True
    # Tells Adam from AdamW; older versions of torch do not have it.
    flags = [group.get("decoupled_weight_decay") for group in (before, now)]
    return None not in flags and flags[0] != flags[1]


def _kind(group: dict) -> str:
    if "betas" in group:
        return "AdamW" if group.get("decoupled_weight_decay") else "Adam"
    if "momentum" in group and "nesterov" in group:
        return "SGD"
    numbers = sorted(group.keys() - IMPLEMENTATION - {"params", "lr", "initial_lr"})
    return f"one with {', '.join(numbers)}"
