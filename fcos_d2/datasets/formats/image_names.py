"""Names of images as annotations have them, and as they are on the disk."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from fcos_deploy.files import files_below, last_part
from fcos_deploy.vision import named_like_image

SHOWN = 3  # files in a message


def folded(name: str) -> str:
    """The same text for names that differ in capital letters, or in how a Mac writes accents."""
    return unicodedata.normalize("NFC", name).casefold()


def parts_of(name: str) -> list[str]:
    """The folders and the file in a name of Linux or Windows, folded."""
    return [folded(x) for x in re.split(r"[/\\]", name) if x not in ("", ".")]


def spellings(name: str) -> list[str]:
    """A name as it stands, and what else the file may be called.

    Label Studio writes addresses, such as `a%20b.jpg`, `?d=a.jpg` and `a.jpg?token=x`, and puts
    eight digits before the names of uploads.
    """
    plain = unquote(name.rpartition("?d=")[2].partition("?")[0])
    upload = re.sub(r"(^|[/\\])[0-9a-f]{8}-(?=[^/\\]+$)", r"\1", plain)
    return [*dict.fromkeys((name, plain, upload))]


class FilesByName:
    """Files that are found by their names, however these are spelled."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            self._by_stem[folded(path.stem)].append(path)

    def named(self, name: str) -> list[Path]:
        """The files whose names fold to the same text."""
        return [x for x in self._same_stem(name) if folded(x.name) == folded(name)]

    def images_like(self, name: str) -> list[Path]:
        """The images of this name with any ending, in any folder."""
        stem = self._same_stem(last_part(name))
        return [x for x in stem if named_like_image(x)]

    def _same_stem(self, name: str) -> list[Path]:
        return self._by_stem.get(folded(Path(name).stem), [])


class OtherNames:
    """The images at any depth in a folder, for names that are not there as they are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _files(self) -> FilesByName:
        """Walked through for the first name that is not there; mostly there is none."""
        try:
            return FilesByName(files_below(self.folder))
        except ValueError:  # a folder that cannot be read may be none of the dataset
            return FilesByName([])

    def find(self, name: str) -> Path | None:
        """The one image that a name can mean.

        That is one of the same path, but for its spelling; one of that name in the folder itself,
        without the folders of another machine; or, for a name without folders, one below it.
        """
        for spelling in spellings(name):
            parts = parts_of(spelling)
            there = self._files.named(last_part(spelling))
            whole = [x for x in there if parts_of(str(x.relative_to(self.folder))) == parts]
            here = [x for x in there if x.parent == self.folder]
            for found in (whole, here, there if len(parts) == 1 else []):
                if len(found) == 1:
                    return found[0]
        return None

    def hint(self, name: str) -> str:
        """An addition to the message that an image is missing: those that are called like it."""
        found = self._files.images_like(name)[:SHOWN]
        return f" (there is {' and '.join(map(str, found))})" if found else ""
