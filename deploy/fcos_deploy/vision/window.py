"""A window on the screen."""

import os
import sys

import cv2
import numpy as np

ESCAPE, NO_KEY = 27, 255


def check_display() -> None:
    """Raises ValueError if no window can be opened; OpenCV would abort the process."""
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise ValueError("this machine has no display for a window: use --output")


def show(title: str, image: np.ndarray, wait: bool) -> bool:
    """Shows the image, until a key is pressed if `wait`; False to end (Esc, q, window closed).

    Raises:
        OSError: OpenCV was built without windows.
    """
    try:
        cv2.imshow(title, image)
    except cv2.error as error:
        raise OSError("this OpenCV was built without windows: use --output") from error
    while True:
        key = cv2.waitKey(50 if wait else 1) & 0xFF
        if key in (ESCAPE, ord("q")) or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            return False
        if key != NO_KEY or not wait:
            return True
