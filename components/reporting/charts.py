"""Line plots and histograms as SVG: a few hundred bytes of text that follow the page's light or dark theme.

Written by hand rather than by a plotting library: colours and fonts come from the page's style sheet, which such a
library fixes when it draws, and no stage pays a second of imports for its report.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

WIDTH, HEIGHT = 760, 280                        # of a figure, in CSS pixels at full size
RIGHT, TOP, BOTTOM = 16, 12, 46                 # margins around the axes' rectangle; the left one fits the labels
POINTS = 600                                    # at most, a series: about one a pixel column
COLOURS = 8                                     # classes c0 … c7 of the style sheet
LARGEST = 1e300                                 # differences and paddings of larger values would overflow
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Point = tuple[float, float]


def line_plot(series: Mapping[str, Sequence[Point]], x_label: str, y_label: str, label: str) -> str:
    """A figure with one line for each series; values that are not finite are left out, and said so."""
    finite = {name: [point for point in points if drawable(*point)] for name, points in series.items()}
    everything = [point for points in finite.values() for point in points]
    note = _lost(series, finite)
    if not everything:
        return figure("", [], note or "No values.", label)
    axes = _Axes([x for x, _ in everything], [y for _, y in everything])
    lines = [_line(axes, points, number) for number, points in enumerate(finite.values()) if points]
    return figure(axes.drawn(x_label, y_label) + "".join(lines), legend(series), note, label)


def histogram(values: Mapping[str, Sequence[float]], x_label: str, label: str) -> str:
    """Outlines of the distributions on shared bins: counts of one set, shares of several."""
    finite = {name: [value for value in each if drawable(value)] for name, each in values.items()}
    everything = [value for each in finite.values() for value in each]
    note = _lost(values, finite)
    if not everything:
        return figure("", [], note or "No values.", label)
    edges = _bins(everything)
    shares = len(values) > 1
    heights = {name: _counts(each, edges, shares) for name, each in finite.items()}
    everything = [0.0, *(height for each in heights.values() for height in each)]
    axes = _Axes(edges, everything, from_zero=True, counts=not shares)
    shapes = [_outline(axes, edges, each, number) for number, each in enumerate(heights.values())]
    return figure(axes.drawn(x_label, "share" if shares else "count") + "".join(shapes), legend(values), note, label)


def drawable(*values: float) -> bool:
    """Whether all are finite, and small enough for arithmetic on them to stay so."""
    return all(abs(value) < LARGEST for value in values)


def _lost(given: Mapping[str, Sequence[object]], shown: Mapping[str, Sequence[object]]) -> str:
    lost = sum(map(len, given.values())) - sum(map(len, shown.values()))
    return f"Not finite and not shown: {lost:,}." if lost else ""


def figure(drawing: str, keys: Iterable[str], note: str, label: str) -> str:
    """A `<figure>` around a drawing, with a legend (if there are several series) and a note."""
    keys = list(keys)
    parts = ["<figure>"]
    if len(keys) > 1:
        parts.append("<div class=legend>" + "".join(keys) + "</div>")
    if drawing:
        parts.append(
            f'<svg class=plot role=img aria-label="{html.escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}">{drawing}</svg>'
        )
    if note:
        parts.append(f"<figcaption>{html.escape(note)}</figcaption>")
    return "".join(parts) + "</figure>"


def legend(names: Iterable[str]) -> list[str]:
    return [f'<span class="{_classes(number)}">{html.escape(name)}</span>' for number, name in enumerate(names)]


def _classes(number: int) -> str:
    """Beyond the palette, series of the same colour differ by their dashes."""
    return f"c{number % COLOURS}" + (" dashed" if number >= COLOURS else "")


def ticks(low: float, high: float, count: int = 6, whole: bool = False) -> list[float]:
    """Round numbers in [low, high], at most `count` steps of 1, 2, 2.5 or 5 times a power of ten, and at least half.

    Args:
        whole: integers only, for what is counted; the steps may be fewer, or one more.
    """
    raw = (high - low) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * size for factor in (1, 2, 2.5, 5) if factor * size >= raw), 10 * size)
    if whole:
        step = max(1.0, float(math.floor(step)))
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Short texts of equally spaced values: `0`, `2.5k`, `5k`; `1e-6`, `2e-6`."""
    largest = max(map(abs, values), default=0.0)
    if 0 < largest < 1e-3 or largest >= 1e16:
        return [_scientific(value) for value in values]
    scale, suffix = next(((size, text) for size, text in _SUFFIXES if largest >= 10 * size or largest >= size > 1e3),
                         (1.0, ""))
    # as many decimals as tell the neighbours apart
    step = min((abs(b - a) for a, b in pairwise(values)), default=1.0) / scale
    decimals = next((count for count in range(10) if abs(round(step, count) - step) < 1e-6 * step), 0)
    texts = [f"{value / scale:.{decimals}f}" for value in values]
    return ["0" if float(text) == 0 else text + suffix for text in texts]


def thin(points: Sequence[Point], limit: int = POINTS) -> Sequence[Point]:
    """At most `limit` of the points: the lowest and the highest of each stretch, so that no spike gets lost."""
    if len(points) <= limit:
        return points
    stretches = limit // 2
    bounds = [len(points) * number // stretches for number in range(stretches + 1)]
    kept: list[Point] = []
    for start, stop in pairwise(bounds):
        stretch = range(start, stop)
        extremes = {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
        kept += [points[i] for i in sorted(extremes)]
    return kept


class _Axes:
    """The rectangle of a plot: data coordinates to pixels, ticks, labels."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], from_zero: bool = False, counts: bool = False) -> None:
        self.x_low, self.x_high = _span(min(xs), max(xs), padding=0.0)
        low, high = min(ys), max(ys)
        # a share or a count is read against 0 if that costs little room
        from_zero = from_zero or 0 <= low <= 0.4 * high
        self.y_low, self.y_high = _span(0.0 if from_zero else low, high, padding=0.05)
        if from_zero:
            self.y_low = 0.0
        self.x_ticks = ticks(self.x_low, self.x_high, 7, whole=all(float(x).is_integer() for x in xs))
        self.y_ticks = ticks(self.y_low, self.y_high, whole=counts)
        self.y_labels = tick_labels(self.y_ticks)
        self.left = 36 + 7 * max(map(len, self.y_labels), default=0)   # the title, and 7 pixels a digit

    def x(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(self.left + share * (WIDTH - self.left - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def drawn(self, x_label: str, y_label: str) -> str:
        bottom = HEIGHT - BOTTOM
        parts = []
        for value, text in zip(self.y_ticks, self.y_labels, strict=True):
            y = self.y(value)
            parts.append(f"<line class=grid x1={self.left} x2={WIDTH - RIGHT} y1={y} y2={y} />")
            parts.append(f"<text class=y x={self.left - 8} y={y + 4:.1f}>{text}</text>")
        for value, text in zip(self.x_ticks, tick_labels(self.x_ticks), strict=True):
            x = self.x(value)
            parts.append(f"<line class=axis x1={x} x2={x} y1={bottom} y2={bottom + 4} />")
            parts.append(f"<text class=x x={x} y={bottom + 18}>{text}</text>")
        parts.append(f"<line class=axis x1={self.left} x2={WIDTH - RIGHT} y1={bottom} y2={bottom} />")
        middle_x, middle_y = (self.left + WIDTH - RIGHT) / 2, (TOP + bottom) / 2
        parts.append(f"<text class=x x={middle_x} y={HEIGHT - 8}>{html.escape(x_label)}</text>")
        parts.append(f'<text class=x transform="translate(14 {middle_y}) rotate(-90)">{html.escape(y_label)}</text>')
        return "".join(parts)


def _span(low: float, high: float, padding: float) -> tuple[float, float]:
    if high - low <= 1e-12 * max(abs(low), abs(high)) or high - low < 1 / LARGEST:   # nothing a plot could tell apart
        extra = abs(low) * 0.5 or 0.5
        return low - extra, high + extra
    extra = (high - low) * padding
    return low - extra, high + extra


def _line(axes: _Axes, points: Sequence[Point], number: int) -> str:
    pixels = [(axes.x(x), axes.y(y)) for x, y in thin(points)]
    dots = f"<circle class=c{number % COLOURS} cx={{}} cy={{}} r=3 />" if len(pixels) <= 12 else ""
    path = " ".join(f"{x},{y}" for x, y in pixels)
    return f'<polyline class="{_classes(number)}" points="{path}" />' + "".join(dots.format(x, y) for x, y in pixels)


def _outline(axes: _Axes, edges: Sequence[float], heights: Sequence[float], number: int) -> str:
    floor = axes.y(0)
    pixels = [(axes.x(edges[0]), floor)]
    for (left, right), height in zip(pairwise(edges), heights, strict=True):
        pixels += [(axes.x(left), axes.y(height)), (axes.x(right), axes.y(height))]
    pixels.append((axes.x(edges[-1]), floor))
    path = " ".join(f"{x},{y}" for x, y in pixels)
    return f'<polygon class=c{number % COLOURS} points="{path}" />'


def _bins(values: Sequence[float], most: int = 40) -> list[float]:
    """Edges: a bin a level where values lie on few equally spaced ones, such as counts or pass rates of 16 attempts
    (wider bins would hold now one level, now two); else Freedman-Diaconis, at most `most` bins."""
    import numpy as np

    low, high = min(values), max(values)
    levels = sorted(set(values))
    gap = min((right - left for left, right in pairwise(levels)), default=max(1.0, abs(low) / 10))
    if high - low < (most - 0.5) * gap and all(abs((x - low) / gap - round((x - low) / gap)) < 1e-3 for x in levels):
        return [low + (number - 0.5) * gap for number in range(round((high - low) / gap) + 2)]
    spread = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
    width = 2 * spread / len(values) ** (1 / 3)
    count = math.ceil(min(most, max(10, (high - low) / width))) if width else most
    low, high = _span(low, high, 0.0)
    return [low + (high - low) * number / count for number in range(count + 1)]


def _counts(values: Sequence[float], edges: Sequence[float], shares: bool) -> list[float]:
    import numpy as np

    counts, _ = np.histogram(values, edges)
    return [float(count) / (len(values) if shares and values else 1) for count in counts]


def _scientific(value: float) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
