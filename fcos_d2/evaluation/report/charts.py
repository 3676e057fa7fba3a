"""Small charts as SVG and HTML, in the colours of the page that they stand on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from fcos_deploy.text import shown

WIDTH, HEIGHT = 360, 236  # px of a chart; as wide as a phone, so that its text stays readable
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 36  # px around the axes
ACROSS, UP = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of a chart.

    Attributes:
        name: for the legend.
        style: class of CSS: its colour.
        x, y: (n,) in [0, 1]; NaN leaves a gap.
    """

    name: str
    style: str
    x: np.ndarray
    y: np.ndarray


def whisker(value: float | None, low: float | None, high: float | None) -> Markup:
    """A dot with its interval on a scale from 0 to 100; nothing where there is no value."""
    if value is None or not np.isfinite(value):
        return Markup('<span class="whisker"></span>')
    left, right = (x if x is not None and np.isfinite(x) else value for x in (low, high))
    return Markup(
        '<span class="whisker"><i style="left:{:.2f}%;width:{:.2f}%"></i>'
        '<b style="left:{:.2f}%"></b></span>'
    ).format(left, right - left, value)


def bar(value: float, most: float) -> Markup:
    """A bar as long as its share of the longest one."""
    share = 100 * value / most if most > 0 else 0.0
    return Markup('<span class="bar"><i style="width:{:.2f}%"></i></span>').format(max(share, 0.0))


def curve_chart(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    marks: Sequence[tuple[float, float, str]] = (),
) -> Markup:
    """Lines in the unit square.

    Args:
        curves: to draw.
        x_label, y_label: of the axes.
        marks: points x, y with a text that a pointer over them shows.
    """
    parts = [_axes(x_label, y_label)]
    for curve in curves:
        line = Markup('<path class="line {}" d="{}"><title>{}</title></path>')
        parts.append(line.format(curve.style, _path(curve.x, curve.y), text(curve.name)))
    for x, y, label in marks:
        dot = Markup('<circle class="mark" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title>')
        parts.append(dot.format(_x(x), _y(y), text(label)) + Markup("</circle>"))
    return _svg(parts, f"{y_label} over {x_label}")


def calibration_chart(confidence: np.ndarray, accuracy: np.ndarray, count: np.ndarray) -> Markup:
    """How often detections of a score are right, over their score, with the ideal line.

    Args:
        confidence, accuracy: (n,) means of each bin, in [0, 1].
        count: (n,) detections of each bin; those without any are left out.
    """
    parts = [_axes("score", "share right")]
    ends = (_x(0), _y(0), _x(1), _y(1))
    ideal = '<line class="ideal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'
    parts.append(Markup(ideal).format(*ends))
    used = np.asarray(count) > 0
    x, y, n = (np.asarray(values)[used] for values in (confidence, accuracy, count))
    parts.append(Markup('<path class="line first" d="{}"/>').format(_path(x, y)))
    for a, b, c in zip(x.tolist(), y.tolist(), n.tolist(), strict=True):
        label = f"score {a:.2f}: {b:.0%} of {c:,.0f} detections are right"
        dot = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title>')
        radius = 2.5 + 4.5 * (c / n.max()) ** 0.5
        parts.append(dot.format(_x(a), _y(b), radius, label) + Markup("</circle>"))
    return _svg(parts, "share of detections that are right over their score")


def text(name: object) -> Markup:
    """A name for HTML, with escapes for what cannot be shown."""
    return escape(shown(name))


def _svg(parts: Sequence[Markup], label: str) -> Markup:
    frame = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(WIDTH, HEIGHT, text(label), Markup("").join(parts))


def _axes(x_label: str, y_label: str) -> Markup:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = _x(share), _y(share)
        grid = Markup('<line class="grid" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>')
        parts.append(grid.format(LEFT, y, LEFT + ACROSS, y))
        tick = Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="{}">{:g}</text>')
        parts.append(tick.format(LEFT - 6, y + 4, "end", share))
        parts.append(tick.format(x, TOP + UP + 15, "middle", share))
    across = Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>')
    parts.append(across.format(LEFT + ACROSS / 2, HEIGHT - 4, text(x_label)))
    up = Markup(
        '<text class="tick" transform="translate(11 {:.1f}) rotate(-90)" text-anchor="middle">{}'
        "</text>"
    )
    parts.append(up.format(TOP + UP / 2, text(y_label)))
    return Markup("").join(parts)


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """The `d` of a path; a gap where a value is none."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    steps, command = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if not (np.isfinite(a) and np.isfinite(b)):
            command = "M"
            continue
        steps.append(f"{command}{_x(a):.1f} {_y(b):.1f}")
        command = "L"
    return "".join(steps)


def _x(value: float) -> float:
    return LEFT + ACROSS * value


def _y(value: float) -> float:
    return TOP + UP * (1 - value)
