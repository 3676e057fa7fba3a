"""Requests and answers, without a browser."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scripted_predictor import ScriptedPredictor
from werkzeug.test import Client

from fcos_d2.ui import App, Looker
from fcos_d2.ui import app as module

HOST = {"base_url": "http://127.0.0.1:8620"}
NAMES = ["cat", "<script>alert(1)</script>"]


def client_of(report: Path | None = None, predictor: ScriptedPredictor | None = None) -> Client:
    predictor = predictor or ScriptedPredictor(NAMES, [[1, 2, 30, 20.5]], [0.75], [1])
    return Client(App(Looker(predictor, "folder/model.pth"), report))


def png(height: int = 40, width: int = 60) -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


def error_of(response) -> str:
    assert set(response.json) == {"error"} and "\n" not in response.json["error"]
    return response.json["error"]


def decoded(url: str) -> np.ndarray:
    head, content = url.split(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)


def test_the_page_and_its_files():
    client = client_of()
    assert b"<title>fcos ui</title>" in client.get("/", **HOST).data
    for name, kind in (("main.js", "javascript"), ("page.css", "css"), ("frame.css", "css")):
        response = client.get(f"/{name}", **HOST)
        assert response.status_code == 200 and kind in response.mimetype
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["nothing", "app.py", "..%2fapp.py", "../app.py", "page/main.js"])
def test_other_files_are_not_there(name):
    assert client_of().get(f"/{name}", **HOST).status_code == 404


def test_the_model():
    answer = client_of().get("/model", **HOST).json
    assert answer["name"] == "model.pth" and answer["report"] is None
    assert [x["name"] for x in answer["classes"]] == NAMES
    assert [x["threshold"] for x in answer["classes"]] == [0.5, 0.5] and answer["floor"] == 0.05


def test_thresholds_of_the_config():
    predictor = ScriptedPredictor(NAMES, [], [], [])
    predictor.config_thresholds = (0.02, 0.7)
    client = client_of(predictor=predictor)
    answer = client.get("/model", **HOST).json
    assert [x["threshold"] for x in answer["classes"]] == [0.02, 0.7]
    # The page can show all that the config lets through.
    assert answer["floor"] == 0.02
    client.post("/detect", data=png(), **HOST)
    assert predictor.threshold == 0.02


def test_detections():
    answer = client_of().post("/detect", data=png(), **HOST).json
    assert (answer["width"], answer["height"]) == (60, 40)
    assert answer["objects"] == [{"box": [1, 2, 30, 20.5], "score": 0.75, "class": 1}]
    assert decoded(answer["picture"]).shape == (40, 60, 3)


def test_the_picture_is_what_the_detector_saw():
    """Upright, on white, and the first frame: a browser would show some of these otherwise."""
    image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 16, 16))
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(file, "PNG", exif=exif)
    predictor = ScriptedPredictor(NAMES, [], [], [])
    answer = client_of(predictor=predictor).post("/detect", data=file.getvalue(), **HOST).json
    assert (answer["width"], answer["height"]) == (40, 60)
    shown = decoded(answer["picture"])
    assert shown.shape == (60, 40, 3)
    for picture in (shown, predictor.seen[0]):
        # The red corner is at the upper right now.
        assert [*map(round, picture[8, 32] / 255)] == [0, 0, 1] and picture[50, 8].min() > 250


def test_large_pictures_are_shown_smaller(monkeypatch):
    monkeypatch.setattr("fcos_d2.ui.looking.MAX_SIDE", 50)
    answer = client_of().post("/detect", data=png(2, 300), **HOST).json
    assert (answer["width"], answer["height"]) == (300, 2)
    assert decoded(answer["picture"]).shape == (1, 50, 3)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "the file is empty"),
        (b"<html>", "not an image, or of a format that this Pillow does not read"),
        (png()[:-200], "the file is cut short"),
    ],
)
def test_broken_images(content, line):
    response = client_of().post("/detect", data=content, **HOST)
    assert response.status_code == 415 and error_of(response) == line


def test_limits(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    response = client_of().post("/detect", data=png(), **HOST)
    assert response.status_code == 415 and "pixels" in error_of(response)
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    response = client_of().post("/detect", data=png(), **HOST)
    assert response.status_code == 413 and error_of(response)


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({}, "box must be numbers with commas between them, got ''"),
        ({"box": "1,2,x,4"}, "box must be numbers with commas between them, got '1,2,x,4'"),
        ({"box": "1,2,3,4"}, "thresholds must be numbers with commas between them, got ''"),
        ({"box": "1,2,3,4", "thresholds": "0.5"}, "2 thresholds are needed, got 1"),
        ({"box": "1,2,3", "thresholds": "0.5,0.5"}, "box [1.0, 2.0, 3.0]: four numbers are needed"),
        ({"box": "9,2,3,4", "thresholds": "0.5,0.5"}, "box 9,2,3,4 has no area"),
    ],
)
def test_bad_questions(query, line):
    response = client_of().post("/why", query_string=query, data=png(), **HOST)
    assert response.status_code == 400 and error_of(response).startswith(line)


def test_guarded():
    client = client_of()
    assert client.get("/", base_url="http://evil.example").status_code == 403
    for place in ("/detect", "/why"):
        response = client.post(place, headers={"Origin": "http://evil.example"}, **HOST)
        assert response.status_code == 403 and error_of(response)
    assert client.get("/model", headers={"Sec-Fetch-Site": "cross-site"}, **HOST).status_code == 403
    assert client.get("/detect", **HOST).status_code == 404


def test_an_error_of_ours_is_told_in_the_terminal(capsys):
    predictor = ScriptedPredictor(NAMES, [], [], [])
    predictor.detect = None
    response = client_of(predictor=predictor).post("/detect", data=png(), **HOST)
    assert response.status_code == 500 and "see the terminal" in error_of(response)
    assert "TypeError" in capsys.readouterr().err


def test_the_report(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    (folder / "report.html").write_text("<h1>AP</h1>")
    (folder / "report.json").write_text("{}")
    client = client_of(folder)
    place = client.get("/model", **HOST).json["report"]
    assert len(place.split("/")[0]) > 20  # cannot be guessed
    response = client.get(f"/{place}", **HOST)
    assert response.data == b"<h1>AP</h1>"
    assert response.headers["Content-Security-Policy"].startswith("sandbox")
    base = place.removesuffix("report.html")
    assert json.loads(client.get(f"/{base}report.json", **HOST).data) == {}
    for name in ("../secret", "..%2fsecret", "nothing", ""):
        assert client.get(f"/{base}{name}", **HOST).status_code == 404
    assert client.get("/report/report.html", **HOST).status_code == 404


def test_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    client_of().post("/detect", data=png(600, 600), **HOST)
    assert [*tmp_path.iterdir()] == []
