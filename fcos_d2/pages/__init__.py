"""Pages of HTML: one frame for all, filled so that names stay text, whatever is in them.

A page is one file. It loads nothing from a network and runs no script: its policy forbids both, so
that nothing in the data could, even if it came through as HTML.
"""

import base64

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from fcos_deploy.text import shown_lines

QUALITY = 85  # of JPEG


def render(template: str, **values: object) -> str:
    """A page.

    Args:
        template: its file in `templates/`.
        values: that it shows; texts are escaped, `Markup` is HTML already.
    """
    return _ENVIRONMENT.get_template(template).render(**values)


def data_url(image: np.ndarray, quality: int = QUALITY) -> str:
    """An image, uint8 BGR (H, W, 3), as a JPEG inside the page."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def _showable(value: object) -> object:
    """Control characters and bytes that are no UTF-8 come out as escapes."""
    return shown_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader(__name__),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_showable,
)
