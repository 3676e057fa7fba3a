"""The command `fcos ui`."""

import json
import os
import signal
import threading
import urllib.request
from urllib.parse import urlencode

import cv2
import numpy as np
import pytest

from fcos_cli import exit_codes
from fcos_cli.main import main
from fcos_d2 import model_zoo
from fcos_d2.checkpoint import FCOSCheckpointer
from fcos_d2.ui import listen

OPTS = ["MODEL.FCOS.NUM_CLASSES", "2", "MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", "64"]


def asked(url: str, content: bytes | None = None) -> dict | bytes:
    with urllib.request.urlopen(url, data=content, timeout=120) as answer:
        body = answer.read()
        return json.loads(body) if answer.headers.get_content_subtype() == "json" else body


def test_a_session(tmp_path, capsys, monkeypatch):
    """From the first line to Ctrl-C; the requests wait until the model is there."""
    model = model_zoo.get_model("Recipes/R18-Scratch", OPTS)
    FCOSCheckpointer(model, str(tmp_path), class_names=["cat", "dog"]).save("model_best")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<h1>AP</h1>")
    monkeypatch.chdir(tmp_path)
    before = {*tmp_path.rglob("*")}
    with listen(0) as free:
        port = free.getsockname()[1]
    url, answers = f"http://127.0.0.1:{port}/", {}

    def use() -> None:
        try:
            image = cv2.imencode(".png", np.zeros((64, 96, 3), np.uint8))[1].tobytes()
            query = urlencode({"box": "10,10,40,50", "class": "dog", "thresholds": "0.5,0.5"})
            answers["model"] = asked(f"{url}model")
            answers["report"] = asked(url + answers["model"]["report"])
            answers["detect"] = asked(f"{url}detect", image)
            answers["why"] = asked(f"{url}why?{query}", image)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    user = threading.Thread(target=use)
    monkeypatch.setattr("fcos_d2.ui.listen", lambda port: (listen(port), user.start())[0])
    try:
        words = ["ui", "--config", "Recipes/R18-Scratch", "--weights", "model_best.pth"]
        assert main([*words, "--port", str(port), "--opts", *OPTS]) == 130
    finally:
        user.join()
        signal.signal(signal.SIGINT, handler)
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"{url} in a browser on this machine; Ctrl-C ends it"
    assert told.err.splitlines()[-1] == "interrupted"
    assert answers["model"]["name"] == "model_best.pth" and answers["report"] == b"<h1>AP</h1>"
    assert answers["detect"]["width"] == 96 and "dog" in answers["why"]["paragraph"]
    assert {*tmp_path.rglob("*")} == before
    listen(port).close()  # which is free again


def test_a_taken_port_is_one_line_before_the_model_is_loaded(capsys):
    with listen(0) as taken:
        port = taken.getsockname()[1]
        words = ["ui", "--config", "missing.yaml", "--port", str(port)]
        assert main(words) == exit_codes.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: port {port} of this machine is in use")


@pytest.mark.parametrize("port", ["-1", "65536", "http", "8000.5", "999999"])
def test_no_port(port, capsys):
    with pytest.raises(SystemExit):
        main(["ui", "--config", "x", f"--port={port}"])
    assert f"'{port}' is no port: a number from 0 to 65535" in capsys.readouterr().err


def test_no_report(tmp_path, capsys):
    words = ["ui", "--config", "x", "--report", str(tmp_path)]
    assert main(words) == exit_codes.WRONG_USE
    assert f"--report {tmp_path}: there is no report.html in it" in capsys.readouterr().err
