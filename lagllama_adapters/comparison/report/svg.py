"""Pieces of charts as SVG, coloured by classes so that the page decides for light or dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Chart", "log_ticks", "marker", "nice_ticks"]

Floats = npt.NDArray[np.float64]

_MARKERS = 8  # shapes and colours, after which they repeat


@dataclass(frozen=True)
class Axis:
    """A scale from numbers to pixels.

    Attributes
    ----------
    low, high : float
        Numbers at the ends.
    start, stop : float
        Pixels at the ends.
    is_log : bool
        Whether steps are ratios.
    """

    low: float
    high: float
    start: float
    stop: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a number."""
        low, high, at = self.low, self.high, value
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, 1e-12))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.stop - self.start)


class Chart:
    """An SVG picture that grows by elements.

    Parameters
    ----------
    width, height : float
        Of its view; it scales to the page.
    title : str
        Text alternative.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A straight line of a class."""
        self._parts.append(
            f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def path(self, x: Sequence[float], y: Sequence[float], kind: str) -> None:
        """A line through points, broken where one is NaN."""
        steps, is_new = [], True
        for left, top in zip(x, y, strict=True):
            if math.isnan(top):
                is_new = True
                continue
            steps.append(f"{'M' if is_new else 'L'}{left:.1f} {top:.1f}")
            is_new = False
        if steps:
            self._parts.append(f'<path class="{kind}" d="{"".join(steps)}"/>')

    def area(
        self, x: Sequence[float], lower: Sequence[float], upper: Sequence[float], kind: str
    ) -> None:
        """What is between two lines."""
        there = [f"{left:.1f} {top:.1f}" for left, top in zip(x, upper, strict=True)]
        back = [f"{left:.1f} {top:.1f}" for left, top in zip(x, lower, strict=True)]
        self._parts.append(f'<path class="{kind}" d="M{"L".join(there + back[::-1])}Z"/>')

    def rectangle(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A bar."""
        self._parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{max(height, 0):.1f}"/>'
        )

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """A label."""
        name = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text{name} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    def mark(self, x: float, y: float, position: int, hint: str = "") -> None:
        """The sign of a model, by its place among them; models differ by shape and colour."""
        self._parts.append(marker(position, x, y, hint))

    def render(self) -> str:
        """The SVG element."""
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(self.title)}" style="max-width:{self.width:g}px">'
            f"{''.join(self._parts)}</svg>"
        )


def marker(position: int, x: float = 7, y: float = 7, hint: str = "") -> str:
    """The sign of a model as an SVG element around a point."""
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>',
        f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>',
        _polygon(x, y, (0, -6), (6, 4.5), (-6, 4.5)),
        _polygon(x, y, (0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)),
        _polygon(x, y, (0, 6), (6, -4.5), (-6, -4.5)),
        _polygon(x, y, (-5, -3), (0, -6), (5, -3), (5, 3), (0, 6), (-5, 3)),
        _polygon(x, y, (-6, -2), (6, -2), (6, 2), (-6, 2)),
        _polygon(x, y, (-2, -6), (2, -6), (2, 6), (-2, 6)),
    )
    title = f"<title>{escape(hint)}</title>" if hint else ""
    kind = f"m{position % _MARKERS}"
    return f'<g class="mark {kind}">{title}{shapes[position % _MARKERS]}</g>'


def _polygon(x: float, y: float, *corners: tuple[float, float]) -> str:
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}"/>'


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that lie between two."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Numbers 1, 2 and 5 times powers of ten that lie between two; fewer where there are many."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low * 0.999 <= value <= high * 1.001]
        if len(found) <= 7:
            break
    return found
