"""Pictures in the making: a cluttered background, sprites on it, and what a camera does to both."""

import colorsys
import math
from typing import NamedTuple

import cv2
import numpy as np

from fcos_d2.datasets.shapes_drawing import cover, mask_box

FINENESS = 2  # pixels of a sprite along one of the picture
PLACING_TRIES = 20


class Sprite(NamedTuple):
    """Something to lay on a picture, at FINENESS times its size there."""

    colours: np.ndarray  # float32 (h, w, 3), grey levels
    cover: np.ndarray  # float32 (h, w) in [0, 1]


class Thing(NamedTuple):
    """One labelled object; its box ignores what lies on top of it."""

    class_id: int
    box: tuple[int, int, int, int]  # xyxy px, half-open, inside the picture


class Scene:
    """A picture, the objects on it, and which of them each of its pixels shows."""

    def __init__(self, picture: np.ndarray, *, min_visible: float = 0.6) -> None:
        """
        Args:
            picture: float32 (H, W, 3); drawn upon.
            min_visible: part of the pixels of an object that later ones leave in sight.
        """
        self.picture = picture
        self.min_visible = min_visible
        self.things: list[Thing] = []
        self._owner = np.full(picture.shape[:2], -1)  # index of the object that a pixel shows
        self._visible: list[int] = []  # px of each object
        self._least: list[float] = []

    def add(
        self,
        sprite: Sprite,
        centre: tuple[float, float],
        *,
        turn: float = 0.0,
        slant: float = 0.0,
        class_id: int | None = None,
        min_inside: float = 0.8,
        contrast: float = 1.0,
    ) -> bool:
        """Lays a sprite on the picture, unless it would hide too much or lie outside.

        Args:
            centre: (x, y) px of the picture.
            turn: rad; `slant`: shear, as a tangent.
            class_id: None: it gets no label.
            min_inside: least part of it within the picture.
            contrast: 1 for its own colours, 0 for the mean of those below it.

        Returns:
            whether it was laid.
        """
        warped = _warp(sprite, centre, turn, slant, self.picture.shape[:2])
        if warped is None:
            return False
        (x, y), colours, coverage, whole = warped
        mask = coverage >= 0.5
        if mask.sum() < max(min_inside * whole, 9):
            return False
        window = np.s_[y : y + mask.shape[0], x : x + mask.shape[1]]
        owners, hidden = np.unique(self._owner[window][mask], return_counts=True)
        losses = [(o, n) for o, n in zip(owners.tolist(), hidden.tolist(), strict=True) if o >= 0]
        if any(self._visible[o] - n < self._least[o] for o, n in losses):
            return False
        for owner, count in losses:
            self._visible[owner] -= count
        self._owner[window][mask] = -1
        if class_id is not None:
            self._owner[window][mask] = len(self.things)
            x0, y0, x1, y1 = mask_box(mask)
            self.things.append(Thing(class_id, (x0 + x, y0 + y, x1 + x, y1 + y)))
            self._visible.append(int(mask.sum()))
            self._least.append(self.min_visible * self._visible[-1])
        under = self.picture[window]
        below = under[mask].mean(axis=0)
        under += ((below + (colours - below) * contrast) - under) * coverage[:, :, None]
        return True


def _warp(
    sprite: Sprite, centre: tuple[float, float], turn: float, slant: float, size: tuple[int, int]
) -> tuple[tuple[int, int], np.ndarray, np.ndarray, float] | None:
    """Upper left corner, colours and cover of its part in the picture, and its area, px2, in all.

    None where that part is empty.
    """
    height, width = sprite.cover.shape
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = rotation @ np.array([[1, slant], [0, 1]]) / FINENESS
    shift = np.array(centre) - matrix @ (width / 2, height / 2)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix.T + shift
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (size[1], size[0]))
    if (high <= low).any():
        return None
    affine = np.column_stack([matrix, shift - low])
    extent = tuple((high - low).tolist())
    colours = cv2.warpAffine(sprite.colours, affine, extent, borderMode=cv2.BORDER_REPLICATE)
    coverage = cv2.warpAffine(sprite.cover, affine, extent)
    return (int(low[0]), int(low[1])), colours, coverage, float(sprite.cover.sum()) / FINENESS**2


def background(rng: np.random.Generator, size: tuple[int, int], clutter: int = 25) -> np.ndarray:
    """Float32 (H, W, 3): noise of several scales, and textured polygons without a label."""
    picture = noise(rng, size, colour(rng), rng.uniform(25, 70))
    for _ in range(int(rng.integers(clutter // 2, clutter + 1))):
        side = math.exp(rng.uniform(math.log(0.04), math.log(0.5))) * min(size)
        sprite = scrap(rng, side)
        scene = Scene(picture)
        contrast = rng.uniform(0.2, 0.9)
        scene.add(sprite, tuple(rng.uniform(0, 1, 2) * size[::-1]), min_inside=0, contrast=contrast)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.5))


def scrap(rng: np.random.Generator, side: float) -> Sprite:
    """A random polygon or blob, of noise or stripes."""
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    radii = rng.uniform(0.5, 1, corners)
    outline = np.stack([np.cos(angles) * radii, np.sin(angles) * radii * rng.uniform(0.3, 1)], 1)
    return filled(rng, [outline], side)


def filled(
    rng: np.random.Generator,
    outlines: list[np.ndarray],
    side: float,
    *,
    colours: tuple[np.ndarray, np.ndarray] | None = None,
) -> Sprite:
    """A textured sprite.

    Args:
        outlines: (n, 2) xy each, in any unit; a point inside an even number of them is outside.
        side: the longer one in the picture, px.
        colours: of the texture; None for random ones.
    """
    points = np.concatenate(outlines)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = FINENESS * side / extent.max()
    width, height = (np.ceil(extent * scale).astype(int) + 2).tolist()
    coverage = cover([(x - low) * scale + 1 for x in outlines], (height, width))
    first, second = colours or (colour(rng), colour(rng))
    kind = rng.choice(["noise", "stripes", "gradient"])
    if kind == "noise":
        return Sprite(noise(rng, (height, width), first, rng.uniform(5, 50)), coverage)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    turn = rng.uniform(0, math.pi)
    along = (xs * math.cos(turn) + ys * math.sin(turn)) / max(height, width)
    waves = np.sin(along * (2 * math.pi * rng.uniform(3, 8)))
    mix = (0.5 + 2 * waves if kind == "stripes" else along).clip(0, 1).astype(np.float32)
    return Sprite((first + (second - first) * mix[:, :, None]).astype(np.float32), coverage)


def noise(
    rng: np.random.Generator, size: tuple[int, int], mean: np.ndarray, strength: float
) -> np.ndarray:
    """Float32 (H, W, 3) of cells of many sizes, the larger the stronger; `strength` in grey levels.

    Mostly light and dark; the colours differ less.
    """
    height, width = size
    picture = np.zeros((height, width, 3), np.float32)
    cell = max(size) / 2
    while cell >= 2:
        cells = (math.ceil(height / cell) + 1, math.ceil(width / cell) + 1)
        light = rng.standard_normal((*cells, 1)) + 0.3 * rng.standard_normal((*cells, 3))
        weight = strength * (cell / max(size)) ** rng.uniform(0.3, 0.8)
        fine = cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        picture += np.float32(weight) * fine
        cell /= 2
    return (picture + mean).astype(np.float32)


def colour(
    rng: np.random.Generator,
    saturation: tuple[float, float] = (0, 0.8),
    value: tuple[float, float] = (0.15, 1),
) -> np.ndarray:
    """BGR grey levels, float (3,)."""
    hsv = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(*hsv)[::-1]) * 255


def photograph(rng: np.random.Generator, picture: np.ndarray, blur: float = 1.0) -> np.ndarray:
    """Uneven light, blur, grain and less contrast; uint8.

    Args:
        blur: the largest sigma, px.
    """
    height, width = picture.shape[:2]
    corners = rng.uniform(0.55, 1.15, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    picture = picture * light[:, :, None]
    if rng.random() < 0.6:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, blur))
    grey = rng.uniform(70, 150)
    picture = grey + (picture - grey) * rng.uniform(0.6, 1.05)
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(2, 12))
    return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)
