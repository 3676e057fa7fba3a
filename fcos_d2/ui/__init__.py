"""A page on this machine: drop images, move the threshold, ask why, read the report."""

from .app import App
from .looking import Looker
from .serving import Server, listen

__all__ = ["App", "Looker", "Server", "listen"]
