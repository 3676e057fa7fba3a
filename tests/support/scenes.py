"""Pictures that no other looks like, unless it is a copy."""

from pathlib import Path

import cv2
import numpy as np


def scene(seed: int, side: int = 96) -> np.ndarray:
    """Coloured blobs."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


def write_scene(path: Path, picture: np.ndarray, quality: int = 95) -> str:
    """Returns the path."""
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return str(path)
