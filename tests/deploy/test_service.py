"""Many requests at a time, and what is not let in."""

import asyncio
import io
import sys
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_model import coded_image, write_coded_model

from fcos_deploy import Detector
from fcos_deploy.service import RefusedError, Service

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

DEMO = Path(__file__).resolve().parents[2] / "demo"


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    return Detector(write_coded_model(tmp_path / "m"))


def file_of(image: np.ndarray, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, ::-1]).save(buffer, format)
    return buffer.getvalue()


async def parts_of(content: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
        await asyncio.sleep(0)


def status_of(answer: Awaitable[dict]) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        asyncio.run(answer)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_500_requests_at_a_time_get_their_own_answers(tmp_path: Path, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install openvino")
    detector = Detector(write_coded_model(tmp_path / "m", format=engine))
    service = Service(detector, workers=8, max_waiting=492)

    async def all_at_once() -> list[dict]:
        files = [file_of(coded_image(i)[0]) for i in range(500)]
        return await asyncio.gather(*(service.answer(parts_of(x), len(x)) for x in files))

    for i, answer in enumerate(asyncio.run(all_at_once())):
        boxes = [x["box_xyxy"] for x in answer["objects"]]
        np.testing.assert_allclose(boxes, [coded_image(i)[1]], atol=1e-3)
    service.close()


def test_more_than_can_wait_are_refused_and_the_others_answered(detector: Detector) -> None:
    """Two workers that are held, three who wait: of ten requests five are refused at once."""
    go_on, run = threading.Event(), detector.engine.run

    def held(*inputs: np.ndarray) -> list[np.ndarray]:
        assert go_on.wait(20)
        return run(*inputs)

    detector.engine.run = held
    service = Service(detector, workers=2, max_waiting=3)
    content = file_of(coded_image(7)[0])

    async def ask() -> int:
        try:
            return len((await service.answer(parts_of(content)))["objects"])
        except RefusedError as error:
            return error.status

    async def ten() -> tuple[list[int], list[int]]:
        tasks = [asyncio.create_task(ask()) for _ in range(10)]
        done, _ = await asyncio.wait(tasks, timeout=0.5)
        refused = [task.result() for task in done]  # while the others are held
        go_on.set()
        return refused, [*await asyncio.gather(*tasks), await ask()]

    refused, all_of_them = asyncio.run(ten())
    assert refused == [503] * 5
    assert sorted(all_of_them) == [1] * 6 + [503] * 5
    service.close()


def test_the_event_loop_is_free_while_images_are_decoded(detector: Detector, monkeypatch) -> None:
    """Decoding ends only when the loop has done something else meanwhile."""
    started, go_on = threading.Event(), threading.Event()

    def held(content: bytes, max_pixels: int) -> np.ndarray:
        started.set()
        assert go_on.wait(20)
        return coded_image(1)[0]

    monkeypatch.setattr("fcos_deploy.service.decoded", held)

    async def other_work() -> dict:
        answer = asyncio.create_task(Service(detector).answer(parts_of(b"x")))
        while not started.is_set():
            await asyncio.sleep(0.001)
        go_on.set()
        return await answer

    assert len(asyncio.run(other_work())["objects"]) == 1


def test_large_files_are_not_read(detector: Detector) -> None:
    service = Service(detector, max_bytes=1000)
    read = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(300)
            yield bytes(300)

    assert status_of(service.answer(endless())) == (413, "the file has more than 1,000 bytes")
    assert sum(read) == 1200
    assert status_of(service.answer(endless(), 1001))[0] == 413 and sum(read) == 1200


def test_slow_files_are_not_waited_for(detector: Detector) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(20)

    service = Service(detector, max_waiting=0, workers=1, max_seconds=0.05)
    assert status_of(service.answer(slow())) == (408, "the file took more than 0.05 s")
    service.max_seconds = 30
    content = file_of(coded_image(7)[0])  # its place is free again
    assert len(asyncio.run(service.answer(parts_of(content)))["objects"]) == 1


def test_bombs_are_not_decoded(detector: Detector, monkeypatch) -> None:
    """8001 x 8000 px in 60 kB, and 30000 x 30000, which Pillow refuses by itself."""
    monkeypatch.setattr("fcos_deploy.vision.image.decode", None)
    service = Service(detector)
    for width, height in ((8001, 8000), (30000, 30000)):
        content = bomb(width, height)
        assert len(content) < 150_000
        wanted = 413, "the image has more than 50,000,000 pixels"
        assert status_of(service.answer(parts_of(content, 10**6))) == wanted


def bomb(width: int, height: int) -> bytes:
    """A black-and-white PNG, with as much of its pixels as matters."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    pixels = zlib.compress(bytes((width // 8 + 2) * min(height, 8000)), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_what_is_no_image(detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cut, whole = file_of(noise)[:3000], file_of(noise)
    assert status_of(Service(detector).answer(parts_of(cut))) == (
        415,
        "image: the file is cut short; accepted are BMP, GIF, JPEG, PNG, TIFF, WEBP",
    )
    assert status_of(Service(detector).answer(parts_of(whole[:30] + b"x" + whole[30:])))[0] == 415
    for content in (b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff"):
        status, message = status_of(Service(detector).answer(parts_of(content)))
        assert status == 415 and message.endswith("accepted are BMP, GIF, JPEG, PNG, TIFF, WEBP")
        assert message.startswith("image: ") and "FCOS" not in message


def test_files_are_read_as_elsewhere(detector: Detector) -> None:
    """Turned by EXIF: the upper left pixel, by which the box goes, is another one."""
    image = coded_image(300)[0].copy()
    image[16:] = coded_image(77)[0][16:]
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 3  # by 180 degrees
    Image.fromarray(image[:, :, ::-1]).save(buffer, "PNG", exif=exif)
    answer = asyncio.run(Service(detector).answer(parts_of(buffer.getvalue())))
    np.testing.assert_allclose(answer["objects"][0]["box_xyxy"], coded_image(77)[1], atol=1e-3)


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi", reason="demo/serve.py needs fastapi")
    httpx = pytest.importorskip("httpx", reason="asks demo/serve.py by httpx")
    monkeypatch.setenv("FCOS_MODEL", str(write_coded_model(tmp_path / "m")))
    monkeypatch.setenv("FCOS_WAITING", "100")
    monkeypatch.syspath_prepend(str(DEMO))
    sys.modules.pop("serve", None)
    import serve

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(serve.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            contents = [file_of(coded_image(i)[0]) for i in range(100)]
            contents += [b"no image", bytes(20_000_001)]
            return await asyncio.gather(*(client.post("/detect", content=x) for x in contents))

    *answers, wrong, large = asyncio.run(ask())
    for i, answer in enumerate(answers):
        assert answer.status_code == 200
        boxes = [x["box_xyxy"] for x in answer.json()["objects"]]
        np.testing.assert_allclose(boxes, [coded_image(i)[1]], atol=1e-3)
    assert wrong.status_code == 415 and "not an image" in wrong.json()["detail"]
    assert large.status_code == 413
