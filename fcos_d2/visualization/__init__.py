"""Drawing on images and frames, reading and writing videos, and names for what is drawn."""

from fcos_deploy.draw import class_color, contact_sheet, draw_detections
from fcos_deploy.outputs import image_targets, video_target, write_image
from fcos_deploy.video import VideoReader, VideoWriter

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
