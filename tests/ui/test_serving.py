"""A real socket: where it listens, what a taken port says."""

import socket
import threading
import urllib.request

import pytest
from scripted_predictor import ScriptedPredictor

from fcos_d2.ui import App, Looker, Server, listen


def server_of(port: int = 0) -> Server:
    return Server(App(Looker(ScriptedPredictor(["a"], [], [], []), "m")), listen(port))


def test_on_this_machine_alone(capfd):
    server = server_of()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert server.socket.getsockname()[0] == "127.0.0.1"
        with urllib.request.urlopen(server.url + "model", timeout=10) as answer:
            assert answer.status == 200 and answer.headers["Server"] == "fcos"
        # Another address of this machine, even one of its own network.
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", server.port), timeout=1)
    finally:
        server.shutdown()
    assert capfd.readouterr() == ("", "")


def test_a_port_in_use():
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError) as info:
            listen(port)
    assert str(info.value) == (
        f"port {port} of this machine is in use, by another `fcos ui` or another program: end "
        "that one, or name another one with --port (--port 0 takes a free one)"
    )
    listen(port).close()  # and is free again at once
