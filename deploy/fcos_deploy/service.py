"""A detector that answers requests of strangers: what goes into it and how much at a time.

Knows no web framework; demo/serve.py shows it behind one.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from .detector import Detector
from .results import objects_of
from .vision import BOMB_ERRORS, DECODE_ERRORS, ImageError, image_array

# What is taken from strangers: the most used, with decoders that are tried the most.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


class RefusedError(Exception):
    """A request that gets no detections.

    Attributes:
        status: of HTTP that says so.
    """

    def __init__(self, status: int, message: str) -> None:
        """`message` is one line for the sender."""
        super().__init__(message)
        self.status = status


class Service:
    """Detects on image files that come as bytes; for one event loop."""

    def __init__(
        self,
        detector: Detector,
        *,
        workers: int = 2,
        max_waiting: int = 32,
        max_bytes: int = 20_000_000,
        max_pixels: int = 50_000_000,
        max_seconds: float = 30.0,
    ) -> None:
        """
        Args:
            detector: that answers.
            workers: requests that are decoded and looked at at a time, each in a thread.
            max_waiting: requests that are received or wait for a worker, besides those; more are
                refused at once.
            max_bytes: largest file.
            max_pixels: largest image; its header tells, before anything is decoded.
            max_seconds: longest time for a file to arrive.

        Memory is bounded by `max_bytes` for each request that is let in, and some 12 bytes for each
        of `max_pixels` for each worker.
        """
        self.detector = detector
        self.max_bytes, self.max_pixels, self.max_seconds = max_bytes, max_pixels, max_seconds
        self._places = workers + max_waiting
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="detect")

    async def answer(self, parts: AsyncIterator[bytes], length: int | None = None) -> dict:
        """Class, score and box of each object on one image.

        Args:
            parts: of the image file, as they arrive.
            length: bytes that the sender announces.

        Raises:
            RefusedError: too much at a time (503), too large (413), too slow (408), no image (415).
        """
        if self._places == 0:
            raise RefusedError(503, "busy: try again later")
        self._places -= 1
        try:
            content = await self._received(parts, length)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, self._detect, content)
        finally:
            self._places += 1

    def close(self) -> None:
        """Ends the threads, after what they are at."""
        self._pool.shutdown(cancel_futures=True)

    async def _received(self, parts: AsyncIterator[bytes], length: int | None) -> bytes:
        too_large = RefusedError(413, f"the file has more than {self.max_bytes:,} bytes")
        if length is not None and length > self.max_bytes:
            raise too_large

        async def receive() -> bytes:
            content = bytearray()
            async for part in parts:
                if len(content) + len(part) > self.max_bytes:
                    raise too_large
                content += part
            return bytes(content)

        try:
            return await asyncio.wait_for(receive(), self.max_seconds)
        except asyncio.TimeoutError:
            raise RefusedError(408, f"the file took more than {self.max_seconds:g} s") from None

    def _detect(self, content: bytes) -> dict:
        image = decoded(content, self.max_pixels)
        found = self.detector(image)
        return {"objects": objects_of(found, self.detector.settings.class_names)}


def decoded(content: bytes, max_pixels: int) -> np.ndarray:
    """The image of a file with this content, BGR uint8 (H, W, 3), as `read_image` gives it.

    Raises:
        RefusedError: no image of one of FORMATS, or damaged (415); more than `max_pixels` by its
            header, so that it is not decoded (413).
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height <= max_pixels:
                return image_array(image)
    except BOMB_ERRORS:
        pass
    except ImageError as error:
        raise RefusedError(415, str(error)) from None
    except DECODE_ERRORS:
        formats = ", ".join(FORMATS)
        raise RefusedError(415, f"the body is no image of one of the formats {formats}") from None
    raise RefusedError(413, f"the image has more than {max_pixels:,} pixels")
