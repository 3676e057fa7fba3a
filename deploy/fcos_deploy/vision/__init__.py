"""Pictures in and out: images, videos and windows read, drawn on and written.

The runtime and fcos_d2 read, resize and draw alike because both come in by this door.
"""

from .decoding import DECODE_ERRORS, open_picture
from .draw import class_color, contact_sheet, draw_detections, resized
from .image import (
    ImageError,
    ImageFile,
    TooManyPixelsError,
    image_size,
    read_image,
    read_reduced,
)
from .inputs import GivenImage, bgr_image, bgr_images, shows_objects
from .labels import BLACK, WHITE, Color
from .listing import image_extensions, list_images, named_like_image
from .outputs import image_targets, video_target, write_image
from .pixels import ORIENTATION_TAG
from .video import VideoReader, VideoWriter
from .window import check_display, show

__all__ = [
    "BLACK",
    "DECODE_ERRORS",
    "ORIENTATION_TAG",
    "WHITE",
    "Color",
    "GivenImage",
    "ImageError",
    "ImageFile",
    "TooManyPixelsError",
    "VideoReader",
    "VideoWriter",
    "bgr_image",
    "bgr_images",
    "check_display",
    "class_color",
    "contact_sheet",
    "draw_detections",
    "image_extensions",
    "image_size",
    "image_targets",
    "list_images",
    "named_like_image",
    "open_picture",
    "read_image",
    "read_reduced",
    "resized",
    "show",
    "shows_objects",
    "video_target",
    "write_image",
]
