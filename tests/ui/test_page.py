"""The page in a real browser, with real clicks."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from chromium import chromium
from scripted_predictor import ScriptedPredictor

from fcos_d2.evaluation.why.explanation import COLUMNS
from fcos_d2.ui import App, Looker, Server, listen, looking

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright").expect

WAIT = 60_000  # ms, on a busy machine
expect.set_options(timeout=WAIT)
HEIGHT, WIDTH = 300, 400
NAMES = ["cell", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>']
# xyxy px, score and class. The fourth lies inside the first.
FOUND = [
    ([20, 30, 180, 270], 0.9, 0),
    ([200, 40, 260, 100], 0.8, 1),
    ([300, 40, 380, 90], 0.55, 2),
    ([60, 60, 100, 100], 0.45, 0),
    ([220, 150, 300, 200], 0.3, 1),
    ([320, 200, 390, 290], 0.1, 2),
]
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Asked:
    """What the page has sent, and what came of it."""

    why: list[tuple] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def clear(self) -> None:
        for seen in (self.why, self.requests, self.errors):
            seen.clear()

    def explain(self, predictor, image, box, class_name=None):
        self.why.append((image.shape, [*box], class_name, predictor.threshold))
        return SimpleNamespace(
            paragraph=f"It was found. {HOSTILE}",
            step="found",
            rows=[SimpleNamespace(cells=lambda: ["p3", HOSTILE])],
            draw=lambda: np.zeros((40, 60, 3), np.uint8),
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for name in (f"{HOSTILE}.png", "second.png"):
        (folder / name).write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    (folder / "broken.png").write_text("no picture")
    (folder / "report.html").write_text(
        "<h1>AP 56.2</h1><img src='https://example.com/x.png'><script>parent.alert(1)</script>"
    )
    return folder


@pytest.fixture(scope="module")
def asked():
    with pytest.MonkeyPatch.context() as patch:
        asked = Asked()
        patch.setattr(looking, "explain", asked.explain)
        yield asked


@pytest.fixture(scope="module")
def server(files):
    boxes, scores, classes = map(list, zip(*FOUND, strict=True))
    looker = Looker(ScriptedPredictor(NAMES, boxes, scores, classes), HOSTILE)
    server = Server(App(looker, files), listen(0))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def tab(asked):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(WAIT)
        page.on("request", lambda request: asked.requests.append(request.url))
        page.on("pageerror", lambda error: asked.errors.append(str(error)))
        page.on("dialog", lambda dialog: asked.errors.append(f"dialog {dialog.message}"))
        yield page


@pytest.fixture
def page(tab, server, asked):
    """The page as it begins."""
    asked.clear()
    tab.goto(server.url)
    tab.wait_for_selector("body.ready")
    yield tab
    assert asked.errors == []
    own = (server.url, f"blob:{server.url}", "data:image/jpeg;base64,")
    assert [url for url in asked.requests if not url.startswith(own)] == []


def give(page: Any, *paths: object) -> None:
    page.set_input_files("#files", [str(path) for path in paths])
    expect(page.locator(".entry.waiting")).to_have_count(0)
    expect(page.locator(".entry")).not_to_have_count(0)


def labels(page: Any) -> list[str]:
    named = [box.get_attribute("aria-label") for box in page.locator(".box").all()]
    return [name.removeprefix("why ") for name in named]


def scores(page: Any) -> list[float]:
    return sorted((float(label.split()[-1]) for label in labels(page)), reverse=True)


def wait_for_answer(page: Any) -> str:
    expect(page.locator("#rows td").first).to_be_attached()
    return page.inner_text("#paragraph")


def test_boxes_follow_the_threshold(page, files):
    """0.5 leaves three of the six scores, 0.56 two, the floor all."""
    give(page, files / "second.png")
    assert scores(page) == [0.9, 0.8, 0.55]
    assert page.inner_text("#count") == "3 of 6 detections"
    slider = page.locator("#threshold")
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#threshold-value") == "0.56"
    assert scores(page) == [0.9, 0.8]
    page.keyboard.press("Home")
    assert page.inner_text("#threshold-value") == "0.05" and len(scores(page)) == 6
    page.keyboard.press("End")
    assert scores(page) == []
    frame = slider.bounding_box()
    share = (0.4 - 0.05) / (0.99 - 0.05)
    x = frame["x"] + 8 + share * (frame["width"] - 16)
    page.mouse.click(x, frame["y"] + frame["height"] / 2)
    assert scores(page) == [0.9, 0.8, 0.55, 0.45]


def test_classes_and_their_own_thresholds(page, files, asked):
    give(page, files / "second.png")
    rows = page.locator("#classes li")
    assert [row.locator(".number").inner_text() for row in rows.all()] == ["1", "1", "1"]
    rows.nth(1).locator("label").click()
    assert scores(page) == [0.9, 0.55]
    rows.nth(1).locator("label").click()
    page.locator("#by-class").check()
    rows.nth(0).locator(".own").fill("0.4")
    rows.nth(2).locator(".own").fill("0.6")
    assert scores(page) == [0.9, 0.8, 0.45]
    page.locator(".box").first.click()
    wait_for_answer(page)
    assert asked.why[0][3] == [[NAMES[0], 0.4], [NAMES[1], 0.5], [NAMES[2], 0.6]]
    page.locator("#by-class").uncheck()
    assert scores(page) == [0.9, 0.8, 0.55]


def test_why_by_a_click_on_an_object(page, files, asked):
    give(page, files / "second.png")
    page.locator("#threshold").fill("0.4")
    # Inside the large box, above which the smaller one lies.
    frame = page.locator("#picture").bounding_box()
    scale = frame["width"] / WIDTH
    page.mouse.click(frame["x"] + 80 * scale, frame["y"] + 80 * scale)
    assert wait_for_answer(page) == f"It was found. {HOSTILE}"
    assert asked.why == [((HEIGHT, WIDTH, 3), [60, 60, 100, 100], "cell", 0.4)]
    assert page.inner_text("#asked") == "cell 0.45 at 60, 60, 100, 100"
    assert page.inner_text("#step") == "found"
    cells = [row.locator("th, td").all_inner_texts() for row in page.locator("#rows tr").all()]
    assert cells == [[*COLUMNS], ["p3", HOSTILE]]
    assert page.locator("#why-picture").evaluate("x => x.decode().then(() => x.naturalWidth)") == 60
    assert page.locator(".box[aria-pressed=true]").count() == 1
    page.locator("#threshold").fill("0.5")  # the object is gone, and the answer with it
    assert page.locator("#answer").is_hidden()


def test_why_of_a_drawn_box(page, files, asked):
    give(page, files / "second.png")
    frame = page.locator("#picture").bounding_box()
    scale = frame["width"] / WIDTH

    def at(x: float, y: float) -> tuple[float, float]:
        return frame["x"] + x * scale, frame["y"] + y * scale

    # Begins on an object, which must not count as a click on it; goes up and to the left.
    page.mouse.move(*at(150, 200))
    page.mouse.down()
    page.mouse.move(*at(120, 150), steps=3)
    page.mouse.move(*at(50, 100), steps=3)
    page.mouse.up()
    wait_for_answer(page)
    ((_, box, class_name, _),) = asked.why
    np.testing.assert_allclose(box, [50, 100, 150, 200], atol=1)
    assert class_name is None and page.locator("#drawn").is_visible()
    page.locator("#drawn-class").select_option(label=NAMES[2])
    expect(page.locator("#asked")).to_contain_text("onerror")
    wait_for_answer(page)
    assert [ask[2] for ask in asked.why] == [None, NAMES[2]]


def test_names_are_text(page, files):
    give(page, files / f"{HOSTILE}.png")
    page.locator("#threshold").fill("0.05")
    assert page.inner_text("#model-name") == HOSTILE
    assert page.inner_text("#file-name") == f"{HOSTILE}.png"
    assert page.locator(".entry .name").all_inner_texts() == [f"{HOSTILE}.png"]
    assert page.locator("#classes .name").all_inner_texts() == NAMES
    shown = {text.rsplit(" ", 1)[0] for text in page.locator(".label").all_text_contents()}
    assert shown == set(NAMES) == {label.rsplit(" ", 1)[0] for label in labels(page)}
    assert page.locator("#drawn-class option").all_text_contents() == ["any class", *NAMES]
    assert page.locator("script").count() == 1 and page.locator("[onerror]").count() == 0


def test_a_broken_image_is_one_line(page, files):
    give(page, files / "broken.png", files / "second.png")
    line = "broken.png: not an image, or of a format that this Pillow does not read"
    assert page.locator("#message").inner_text() == line
    assert page.inner_text("#file-name") == "second.png" and len(scores(page)) == 3
    page.locator(".entry.failed").click()
    assert page.locator(".box").count() == 0 and page.inner_text("#file-name") == "broken.png"
    page.locator(".entry.done").click()
    assert len(scores(page)) == 3 and page.locator("#message").is_hidden()


def test_dropped_files(page):
    page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(400, 300);
            canvas.getContext("2d").fillRect(0, 0, 9, 9);
            const data = new DataTransfer();
            for (const name of ["a.png", "b.png"])
                data.items.add(new File([await canvas.convertToBlob()], name));
            document.body.dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.locator(".entry.done")).to_have_count(2)
    assert page.locator(".entry .name").all_inner_texts() == ["a.png", "b.png"]
    assert page.inner_text("#file-name") == "a.png" and len(scores(page)) == 3


def test_download(page, files):
    """What is shown, and no more, as a COCO dataset."""
    assert page.locator("#download").is_disabled()
    give(page, files / "second.png", files / "broken.png", files / f"{HOSTILE}.png")
    page.locator("#classes label").nth(2).click()
    with page.expect_download() as info:
        page.locator("#download").click()
    assert info.value.suggested_filename == "detections.json"
    coco = json.loads(Path(info.value.path()).read_text())
    sizes = {"width": WIDTH, "height": HEIGHT}
    assert coco["images"] == [
        {"id": 1, "file_name": "second.png", **sizes},
        {"id": 3, "file_name": f"{HOSTILE}.png", **sizes},
    ]
    assert coco["categories"] == [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)]
    rows = [(a["id"], a["image_id"], a["category_id"], a["bbox"]) for a in coco["annotations"]]
    first, second = [20, 30, 160, 240], [200, 40, 60, 60]
    assert rows == [(1, 1, 1, first), (2, 1, 2, second), (3, 3, 1, first), (4, 3, 2, second)]
    assert coco["annotations"][0]["score"] == pytest.approx(0.9)
    assert coco["annotations"][0]["area"] == 160 * 240


def test_the_report_runs_nothing_and_loads_nothing(page, asked):
    page.locator("#open-report").click()
    frame = page.frame_locator("#report-frame")
    assert frame.locator("h1").inner_text() == "AP 56.2"
    page.locator("#close-report").click()
    assert page.locator("#report").is_hidden()
    # The policy stops the request before it is one of the network.
    asked.requests[:] = [url for url in asked.requests if url != "https://example.com/x.png"]


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page, files, width):
    page.set_viewport_size({"width": width, "height": 800})
    give(page, files / f"{HOSTILE}.png", files / "broken.png", *[files / "second.png"] * 4)
    page.locator("#by-class").check()
    page.locator(".box").first.click()
    wait_for_answer(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("#picture").bounding_box()["width"] > 0.5 * min(width, 600)
