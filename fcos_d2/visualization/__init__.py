"""Drawing on images and frames, reading and writing videos, and names for what is drawn."""

from fcos_deploy.vision import (
    VideoReader,
    VideoWriter,
    class_color,
    contact_sheet,
    draw_detections,
    image_targets,
    video_target,
    write_image,
)

__all__ = [
    "VideoReader",
    "VideoWriter",
    "class_color",
    "contact_sheet",
    "draw_detections",
    "image_targets",
    "video_target",
    "write_image",
]
