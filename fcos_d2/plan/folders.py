"""Where a run goes whose user names no output folder."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from ..engine.request import Request

ROOT = "output"


def new_folder(request: Request) -> tuple[str, str]:
    """The output folder of a new run, and a line about it.

    What --output names is taken as it is; else the name of the data, with a number where a run has
    left a checkpoint there before.
    """
    if request.output_dir is not None:
        return request.output_dir, f"output: {request.output_dir}"
    for folder in _candidates(request):
        if not _is_used(folder):
            break
    line = f"output: {folder}"
    used = list(itertools.takewhile(lambda x: x != folder, _candidates(request)))
    if used:
        what = (
            "a finished run" if _is_finished(used[-1]) else "a run that --resume would go on with"
        )
        line += f" ({used[-1]} holds {what})"
    return str(folder), line


def folder_to_resume(request: Request) -> str:
    """The folder of the last run of these data.

    Raises:
        ValueError: there is none.
    """
    if request.output_dir is not None:
        folder = Path(request.output_dir)
    else:
        used = list(itertools.takewhile(_has_config, _candidates(request)))
        folder = used[-1] if used else next(_candidates(request))
    if not _has_config(folder):
        raise ValueError(f"--resume: there is no {folder / 'config.yaml'}; leave it out to begin")
    return str(folder)


def _candidates(request: Request) -> Iterator[Path]:
    """output/birds, output/birds-2, ..."""
    data = Path(request.folder or request.train_data or "").absolute()
    name = data.name if request.folder else data.stem.split(":")[0]
    yield Path(ROOT) / name
    for number in itertools.count(2):
        yield Path(ROOT) / f"{name}-{number}"


def _has_config(folder: Path) -> bool:
    return (folder / "config.yaml").is_file()


def _is_used(folder: Path) -> bool:
    """Whether a run has left there what another would overwrite."""
    return any(folder.glob("*.pth"))


def _is_finished(folder: Path) -> bool:
    return (folder / "model_final.pth").is_file()
