from .checkpointer import FCOSCheckpointer

__all__ = ["FCOSCheckpointer"]
