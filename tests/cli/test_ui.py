"""The command as a process of its own, from its first line to Ctrl-C."""

import json
import re
import signal
import subprocess
import sys
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


def asked(url: str, content: bytes | None = None) -> dict:
    with urllib.request.urlopen(url, data=content, timeout=60) as answer:
        return json.loads(answer.read())


def test_a_session(tmp_path):
    model = model_zoo.get_model("Recipes/R18-Scratch", OPTS)
    FCOSCheckpointer(model, str(tmp_path), class_names=["cat", "dog"]).save("model_best")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<h1>AP</h1>")
    before = {*tmp_path.rglob("*")}
    command = [sys.executable, "-m", "fcos_cli", "ui", "--config", "Recipes/R18-Scratch"]
    command += ["--weights", str(tmp_path / "model_best.pth"), "--port", "0", "--opts", *OPTS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        try:
            lines = [process.stdout.readline()]
            while lines[-1] and "Ctrl-C" not in lines[-1]:
                lines.append(process.stdout.readline())
            (url,) = re.findall(r"^(http://127\.0\.0\.1:\d+/) in a browser", lines[-1])
            answer = asked(f"{url}model")
            assert answer["name"] == "model_best.pth" and answer["report"] is not None
            with urllib.request.urlopen(url + answer["report"], timeout=60) as report:
                assert report.read() == b"<h1>AP</h1>"
            image = cv2.imencode(".png", np.zeros((64, 96, 3), np.uint8))[1].tobytes()
            assert (asked(f"{url}detect", image)["width"]) == 96
            query = urlencode({"box": "10,10,40,50", "class": "dog", "thresholds": "0.5,0.5"})
            assert "dog" in asked(f"{url}why?{query}", image)["paragraph"]
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert process.stderr.read().splitlines()[-1] == "interrupted"
    assert {*tmp_path.rglob("*")} == before


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
