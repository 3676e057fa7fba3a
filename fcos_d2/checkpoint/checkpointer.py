"""Checkpoints that a kill cannot damage and that know their class names."""

import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

logger = logging.getLogger(__name__)


class FCOSCheckpointer(DetectionCheckpointer):
    """detectron2's checkpointer; files appear whole or not at all.

    `class_names` are stored beside the weights and come back in the result of `load`, so that a
    demo needs no dataset.
    """

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        class_names: list[str] | None = None,
        save_to_disk: bool | None = None,
        **checkpointables: object,
    ) -> None:
        """
        Args:
            model: as in detectron2.
            save_dir: folder of the files.
            class_names: in the order of the class indices.
            save_to_disk: None lets only the main process write.
            checkpointables: named objects with state_dict() and load_state_dict().
        """
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.class_names = class_names
        self.missing_keys: list[str] = []  # of the last load

    def save(self, name: str, **extra: object) -> None:
        """Writes `name`.pth and marks it as the last checkpoint; `extra` is stored as it is."""
        if not self.save_dir or not self.save_to_disk:
            return
        data = {"model": self.model.state_dict(), **extra}
        data.update({key: obj.state_dict() for key, obj in self.checkpointables.items()})
        if self.class_names is not None:
            data["class_names"] = list(self.class_names)
        path = os.path.join(self.save_dir, f"{name}.pth")
        logger.info("Saving checkpoint to %s", path)
        with _replacing(path) as temporary:
            torch.save(data, temporary)
        self.tag_last_checkpoint(os.path.basename(path))

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        with _replacing(os.path.join(self.save_dir, "last_checkpoint")) as temporary:
            with open(temporary, "w") as file:
                file.write(last_filename_basename)

    def load(self, path: str, *args: object, **kwargs: object) -> dict:
        """Loads weights and states; see detectron2.

        Returns:
            What the file holds beside them, such as class_names and iteration.

        Raises:
            ValueError: the file is absent, cannot be fetched or is damaged; names it.
        """
        self.missing_keys = []
        if path and "://" not in path and not os.path.isfile(path.split("?")[0]):
            raise ValueError(f"{path}: no such checkpoint")
        try:
            return super().load(path, *args, **kwargs)
        except OSError as error:
            raise ValueError(
                f"{path}: cannot be fetched ({error}); give MODEL.WEIGHTS (train.init_checkpoint) "
                'a file on this machine, or "" for random weights'
            ) from None
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: damaged, or not a checkpoint ({reason})") from None
        finally:
            self._parsed_url_during_load = None  # detectron2 leaves it set when loading fails

    def _load_model(self, checkpoint: dict) -> object:
        incompatible = super()._load_model(checkpoint)
        self.missing_keys = incompatible.missing_keys
        return incompatible


@contextmanager
def _replacing(path: str) -> Iterator[str]:
    """A temporary name whose file takes the place of `path` in one step when all went well."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
