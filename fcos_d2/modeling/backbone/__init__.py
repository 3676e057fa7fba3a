from .fpn import TopLevels, build_fcos_resnet_fpn_backbone, build_top_levels

__all__ = ["TopLevels", "build_fcos_resnet_fpn_backbone", "build_top_levels"]
