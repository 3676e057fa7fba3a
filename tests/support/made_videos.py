"""Video files written byte by byte, whose headers say what they are told to."""

import struct
from pathlib import Path

import cv2
import numpy as np


def jpeg(level: int) -> bytes:
    """A grey frame of 48 x 64 px."""
    return cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()


def write_webm(
    path: Path, times_ms: list[int], header_fps: float | None, duration_ms: float | None
) -> Path:
    """Matroska, as WebM is, with frames of rising grey shown at these times.

    Args:
        path: the file.
        times_ms: when each frame is shown.
        header_fps: the default duration of a frame is one over it; None leaves it out.
        duration_ms: of the whole; None leaves it out, as browsers do that stream while they record.
    """

    def element(identity: str, *content: bytes) -> bytes:
        body = b"".join(content)
        return bytes.fromhex(identity) + struct.pack(">Q", len(body) | 1 << 56) + body

    def number(identity: str, value: int) -> bytes:
        return element(identity, struct.pack(">I", value))

    head = element("1A45DFA3", element("4282", b"matroska"), number("4287", 2), number("4285", 2))
    duration = [element("4489", struct.pack(">d", duration_ms))] if duration_ms else []
    info = element("1549A966", number("2AD7B1", 1_000_000), *duration)  # ticks of 1 ms
    frame_ns = [number("23E383", round(1e9 / header_fps))] if header_fps else []
    size = element("E0", number("B0", 64), number("BA", 48))
    codec = element("86", b"V_MJPEG")
    track = element(
        "AE", number("D7", 1), number("73C5", 1), number("83", 1), codec, *frame_ns, size
    )
    clusters = [
        element("1F43B675", number("E7", time), element("A3", b"\x81\x00\x00\x80" + jpeg(3 * i)))
        for i, time in enumerate(times_ms)
    ]
    path.write_bytes(head + element("18538067", info, element("1654AE6B", track), *clusters))
    return path


def write_avi(path: Path, rate: int, ticks: list[int]) -> Path:
    """Motion JPEG whose clock has `rate` ticks a second, with a frame at each of these ticks.

    In the ticks between two frames there are empty ones, which show the frame before on.
    """

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    contents = [b""] * (ticks[-1] + 1)
    for i, tick in enumerate(ticks):
        contents[tick] = jpeg(3 * i)
    num = len(contents)
    main = struct.pack("<14I", max(1_000_000 // rate, 1), 0, 0, 16, num, 0, 1, 0, 64, 48, *[0] * 4)
    stream = struct.pack("<8I", 0, 0, 0, 1, rate, 0, num, 0)
    stream = b"vidsMJPG" + stream + struct.pack("<2I4H", 2**32 - 1, 0, 0, 0, 64, 48)
    picture = struct.pack("<IiiHH4s5I", 40, 64, 48, 1, 24, b"MJPG", 64 * 48 * 3, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", picture))
    header = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + streams)
    movie, index = b"movi", b""
    for content in contents:
        index += b"00dc" + struct.pack("<3I", 16, len(movie), len(content))
        movie += chunk(b"00dc", content)
    body = b"AVI " + header + chunk(b"LIST", movie) + chunk(b"idx1", index)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path
