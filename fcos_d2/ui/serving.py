"""The server: on this machine alone, silent, and clear about a port that is taken."""

import errno
import socket
from http.server import HTTPServer
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .app import App

HOST = "127.0.0.1"
MAX_SECONDS = 60  # that a browser on this machine may be silent in the middle of a request


def listen(port: int) -> socket.socket:
    """A socket that only this machine reaches.

    Args:
        port: in [0, 65535]; 0 takes any free one.

    Raises:
        ValueError: the port is in use, or for administrators only.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        cause = {
            errno.EADDRINUSE: "is in use, by another `fcos ui` or another program: end that one",
            errno.EACCES: "is for administrators",
        }.get(error.errno or 0)
        if cause is None:
            raise
        raise ValueError(
            f"port {port} of this machine {cause}, or name another one with --port "
            "(--port 0 takes a free one)"
        ) from None


class Handler(WSGIRequestHandler):
    """Writes no line for each request, and does not say what it runs on."""

    timeout = MAX_SECONDS

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def version_string(self) -> str:
        return "fcos"


class Server(ThreadedWSGIServer):
    """Answers in threads until Ctrl-C, which comes out of `serve_forever` as KeyboardInterrupt."""

    def __init__(self, app: App, listening: socket.socket) -> None:
        """
        Args:
            app: the page.
            listening: from `listen`.
        """
        super().__init__(HOST, 0, app, Handler, fd=listening.fileno())
        listening.close()  # the server has its own copy of it

    @property
    def url(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.port}/"

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        # werkzeug's own ends as if all were done when Ctrl-C comes.
        try:
            HTTPServer.serve_forever(self, poll_interval)
        finally:
            self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers close connections as they like; errors of the page are told in `App`."""
