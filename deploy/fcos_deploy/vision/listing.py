"""Names of files, folders and patterns, and the image files that they stand for."""

import glob
from functools import lru_cache
from pathlib import Path

from PIL import Image

from ..files import backslash_hint, files_matching, find_file, is_hidden
from .decoding import apply_pixel_limit

# Formats that Pillow knows but which are not pictures, or which it cannot decode by itself. Other
# files that `open_picture` refuses are listed, so that the user is told about them.
NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}


def list_images(inputs: list[str]) -> list[Path]:
    """Turn files, folders and glob patterns into image paths, each once, in the order given.

    A folder gives what lies directly in it and has the extension of an image, sorted by name;
    a subfolder with such a name is kept, so that reading it reports it. A file that is named
    or matched by a pattern is always taken, whatever its extension.

    Args:
        inputs: names of files or folders, or glob patterns (`**` goes through folders).

    Returns:
        paths, not checked to be readable.

    Raises:
        ValueError: if a name does not exist, or a folder or pattern gives no image; or if
            FCOS_MAX_PIXELS is no number.
    """
    apply_pixel_limit()  # a wrong one is said before work begins
    # A dict keeps the order and drops repetitions.
    paths = dict.fromkeys(path for name in inputs for path in _paths_of(name))
    return list(paths)


@lru_cache(maxsize=1)
def image_extensions() -> frozenset[str]:
    """Extensions of the picture formats that this Pillow reads, in lower case, with the dot."""
    extensions = Image.registered_extensions()  # loads the plugins that fill Image.OPEN
    readable = set(Image.OPEN) - NOT_PICTURES
    return frozenset(extension for extension, name in extensions.items() if name in readable)


def _paths_of(name: str) -> list[Path]:
    path = find_file("", name)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if named_like_image(p))
        if not found and named_like_image(path):
            found = [path]
        if not found:
            raise ValueError(f"{name}: the folder holds no image")
    elif path.exists():
        found = [path]
    elif glob.has_magic(name):
        found = _matches(name) or _matches(name.replace("\\", "/"))
        if not found:
            raise ValueError(f"{name}: no image matches this pattern{backslash_hint(name)}")
    else:
        raise ValueError(f"{name}: no such file or folder{backslash_hint(name)}")
    return found


def _matches(pattern: str) -> list[Path]:
    # Where links form a circle, glob's `**` never ends.
    goes_deep = "**" in Path(pattern).parts
    matches = files_matching(pattern) if goes_deep else map(Path, sorted(glob.glob(pattern)))
    # Names that begin with a dot match only a pattern that does so, too.
    wanted = [p for p in matches if p.name.startswith(".") or not is_hidden(p.name)]
    return [p for p in wanted if p.is_file() or named_like_image(p)]


def named_like_image(path: Path) -> bool:
    """Whether a file has the name of a picture; hidden ones, such as `._a.jpg`, have not."""
    return path.suffix.lower() in image_extensions() and not is_hidden(path.name)
