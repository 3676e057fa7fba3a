"""A detector that answers requests from strangers, within limits on what and how much it takes.

It knows no web framework; demo/serve.py shows it behind one.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .detector import Detector
from .results import objects_of
from .vision import ImageError, TooManyPixelsError, read_image

# What strangers may send: common formats, whose decoders are the best tested.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: the HTTP status to answer with.
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
            detector: what runs on each image.
            workers: requests that are decoded and run at a time, each in a thread.
            max_waiting: requests besides those that are being received or wait for a worker; any
                more are refused at once.
            max_bytes: largest file.
            max_pixels: largest image, by its header, before anything is decoded.
            max_seconds: longest time that a file may take to arrive.

        Memory is bounded by `max_bytes` for each admitted request, and about 12 bytes for each of
        `max_pixels` for each worker.
        """
        self.detector = detector
        self.max_bytes, self.max_pixels, self.max_seconds = max_bytes, max_pixels, max_seconds
        self._places = workers + max_waiting
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="detect")

    async def answer(self, parts: AsyncIterator[bytes], length: int | None = None) -> dict:
        """Class, score and box of each object on one image.

        Args:
            parts: of the image file, as they arrive.
            length: number of bytes that the sender announces.

        Raises:
            RefusedError: too many at a time (503), too large (413), too slow (408), no image (415).
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
        """End the threads once they have finished what they are doing."""
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
    """The image of a file with this content, BGR uint8 (H, W, 3).

    Raises:
        RefusedError: not an image of one of FORMATS, or a damaged one (415); more than `max_pixels`
            by its header, so that it is not decoded (413).
    """
    try:
        return read_image(content, formats=FORMATS, max_pixels=max_pixels)
    except TooManyPixelsError:
        raise RefusedError(413, f"the image has more than {max_pixels:,} pixels") from None
    except ImageError as error:
        raise RefusedError(415, f"{error}; accepted are {', '.join(FORMATS)}") from None
