"""Charts as inline SVG, without a plotting library and without a style attribute: lines, bars, a confusion matrix, a
reliability diagram and a scatter plot. Colours come from the classes of `CHART_STYLE`, so they follow the page's theme.

Every text passes through `safe_text`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatewise.errors import counted
from gatewise.explain.render.html_static import safe_text
from gatewise.metrics import Bin
from gatewise.types import Array

CHART_STYLE = """
.plot{display:block;width:100%;height:auto;font:12px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.plot text{fill:var(--muted)}.plot .name{fill:var(--text)}.plot .grid{stroke:var(--rule);stroke-width:1}
.plot .axis{stroke:var(--muted);stroke-width:1}.plot .ideal{stroke:var(--faint);stroke-width:1.5;stroke-dasharray:4 4}
.plot polyline{fill:none;stroke-width:2.2}.plot .s0{stroke:var(--for)}
.plot .s1{stroke:var(--against);stroke-dasharray:6 3}
.plot circle.s0,.plot .k0{fill:var(--for)}.plot circle.s1,.plot .k1{fill:var(--against)}
.plot circle{stroke-dasharray:none}
.plot .column{fill:var(--p4)}.plot .spread{stroke:var(--text);stroke-width:1.5}
.plot .mark{stroke:var(--faint);stroke-dasharray:2 3}
.plot .correct{fill:var(--for)}.plot .wrong{fill:var(--against)}.plot .frame{fill:none;stroke:var(--rule)}
.plot .on{fill:var(--page)}.plot .point{fill:var(--for);fill-opacity:.45;stroke:none}
"""
_WIDTH, _HEIGHT = 480, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 26, 40
_MAX_POINTS = 2_000  # of a scatter plot
_MAX_NUMBERED = 12  # classes of a confusion matrix whose cells hold numbers


class Line(NamedTuple):
    """A line of a chart: its name in the legend, and its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class _Axes:
    """The scales of a chart: data ranges, and the plot area in SVG units."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = _WIDTH
    height: float = _HEIGHT

    def px(self, x: float) -> float:
        low, high = self.x
        return _LEFT + (self.width - _LEFT - _RIGHT) * (x - low) / ((high - low) or 1)

    def py(self, y: float) -> float:
        low, high = self.y
        return self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * (y - low) / ((high - low) or 1)

    def draw(self, x_ticks: Iterable[float], y_ticks: Iterable[float], x_name: str, y_name: str) -> Iterator[str]:
        left, right, bottom = _LEFT, self.width - _RIGHT, self.height - _BOTTOM
        for tick in y_ticks:
            y = self.py(tick)
            yield f'<path class="grid" d="M{left} {y:.1f}H{right:.1f}"/>'
            yield f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
        for tick in x_ticks:
            yield f'<text x="{self.px(tick):.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{_number(tick)}</text>'
        yield f'<path class="axis" d="M{left} {bottom:.1f}H{right:.1f}"/>'
        yield _text((left + right) / 2, self.height - 6, x_name, "middle", "name")
        yield (
            f'<text class="name" x="{-(_TOP + bottom) / 2:.1f}" y="12" text-anchor="middle" '
            f'transform="rotate(-90)">{safe_text(y_name, 40)}</text>'
        )


def line_chart(lines: Sequence[Line], x_name: str, y_name: str, mark: tuple[float, str] | None = None) -> str:
    """Lines over a common axis, each with its name at its end. mark: an x with a name, drawn as a vertical line.

    At most two lines, which differ by dashes as well as by colour; points that are not finite are left out.
    """
    shown = [
        Line(line.name, *zip(*kept, strict=True))
        for line in lines
        if (kept := [(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x) and math.isfinite(y)])
    ]
    if not shown:
        return ""
    xs, ys = [x for line in shown for x in line.x], [y for line in shown for y in line.y]
    y_ticks = ticks(min(ys), max(ys))
    axes = _Axes((min(xs), max(xs)), (min(*ys, y_ticks[0]), max(*ys, y_ticks[-1])))
    whole = all(float(x).is_integer() for x in xs)
    x_ticks = [tick for tick in ticks(min(xs), max(xs)) if not whole or tick.is_integer()]
    parts = list(axes.draw(x_ticks, y_ticks, x_name, y_name))
    if mark is not None:
        x = axes.px(mark[0])
        parts.append(f'<path class="mark" d="M{x:.1f} {_TOP}V{axes.height - _BOTTOM}"/>')
        parts.append(_text(x + 4, axes.height - _BOTTOM - 6, mark[1], "start"))
    for n, line in enumerate(shown):
        points = [(axes.px(x), axes.py(y)) for x, y in zip(line.x, line.y, strict=True)]
        parts.append(f'<polyline class="s{n % 2}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        if len(points) <= 40:
            parts += [f'<circle class="s{n % 2}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points]
    parts += _legend([line.name for line in shown], axes.width)
    ends = "; ".join(f"{line.name} from {_number(line.y[0])} to {_number(line.y[-1])}" for line in shown)
    return _svg(axes.width, axes.height, f"{y_name} by {x_name}: {ends}", parts)


def bar_chart(
    names: Sequence[str], values: Sequence[float], spans: Sequence[tuple[float, float]], x_name: str, y_name: str
) -> str:
    """Bars from 0, each with its interval (low, high) as a line."""
    tops = [high for _, high in spans]
    y_ticks = ticks(0, max(*tops, 0) or 1)
    axes = _Axes((0, len(names)), (0, max(*tops, y_ticks[-1])))
    parts = list(axes.draw((), y_ticks, x_name, y_name))
    width = (axes.px(1) - axes.px(0)) * 0.7
    for n, (name, value, (low, high)) in enumerate(zip(names, values, spans, strict=True)):
        x, y = axes.px(n + 0.5), axes.py(value)
        title = f"{name}: {_number(value)}" + (f" ({_number(low)} to {_number(high)})" if low < high else "")
        parts.append(
            f'<rect class="column" x="{x - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{axes.py(0) - y:.1f}"><title>{safe_text(title)}</title></rect>'
        )
        if low < high:
            parts.append(f'<path class="spread" d="M{x:.1f} {axes.py(low):.1f}V{axes.py(high):.1f}"/>')
        parts.append(_text(x, axes.height - _BOTTOM + 16, name, "middle"))
    spoken = ", ".join(f"{name} {_number(value)}" for name, value in zip(names, values, strict=True))
    return _svg(axes.width, axes.height, f"{y_name} by {x_name}: {spoken}", parts)


def reliability_chart(bins: Sequence[Bin], n: int) -> str:
    """Accuracy against confidence, one bar per bin with predictions; the line is perfect calibration. Below it, the
    share of the n predictions in each bin.
    """
    axes = _Axes((0, 1), (0, 1))
    quarter = (0, 0.25, 0.5, 0.75, 1)
    parts = list(axes.draw((), quarter, "", "accuracy"))
    strip = 56  # height of the histogram below
    base = axes.height + strip
    most = max((one.n for one in bins), default=0) or 1
    for one in bins:
        if not one.n:
            continue
        left, right = axes.px(one.low) + 1, axes.px(one.high) - 1
        title = (
            f"confidence {one.low:.2f} to {one.high:.2f}, mean {one.confidence:.3f}: accuracy {one.accuracy:.3f} "
            f"({counted(one.n, 'prediction')})"
        )
        for y, bottom in ((axes.py(one.accuracy), axes.py(0)), (base - (strip - 8) * one.n / most, base)):
            parts.append(
                f'<rect class="column" x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" '
                f'height="{bottom - y:.1f}"><title>{title}</title></rect>'
            )
        x, y = axes.px(one.confidence), axes.py(one.accuracy)
        parts.append(f'<circle class="k1" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    parts.append(f'<path class="ideal" d="M{axes.px(0):.1f} {axes.py(0):.1f}L{axes.px(1):.1f} {axes.py(1):.1f}"/>')
    parts.append(f'<path class="axis" d="M{_LEFT} {base}H{axes.width - _RIGHT}"/>')
    parts += [_text(axes.px(tick), base + 16, _number(tick), "middle") for tick in quarter]
    parts.append(_text((_LEFT + axes.width - _RIGHT) / 2, base + 34, "confidence", "middle", "name"))
    parts.append(_text(_LEFT - 6, base - strip / 2 + 4, f"{most / max(n, 1):.0%}", "end"))
    return _svg(axes.width, base + 40, "Reliability diagram: accuracy against confidence", parts)


def confusion_chart(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """The confusion matrix as a heat map: true classes in rows, predicted ones in columns.

    The opacity of a cell is its share of the row's total. Cells hold numbers up to 12 classes; more have a tooltip.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    k = len(classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(13.0, min(44.0, 560 / k))  # of a cell
    font = min(12.0, size * 0.82)
    letters = max((len(safe_name(name, 24)) for name in classes), default=0)
    left = 24 + min(190.0, letters * font * 0.62)
    top = 30 + min(150.0, letters * font * 0.62) * (1 if k > 4 else 0.25)
    width, height = left + k * size + 60, top + k * size + 16
    parts = [_text(left + k * size / 2, 13, "predicted", "middle", "name")]
    parts.append(
        f'<text class="name" x="{-(top + k * size / 2):.1f}" y="13" text-anchor="middle" '
        f'transform="rotate(-90)">true</text>'
    )
    for n, name in enumerate(classes):
        middle = (n + 0.5) * size
        shown = safe_text(safe_name(name, 24))
        parts.append(
            f'<text x="{left - 6:.1f}" y="{top + middle + font * 0.35:.1f}" font-size="{font:.1f}" '
            f'text-anchor="end">{shown}</text>'
        )
        x, y = left + middle + font * 0.35, top - 6
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if k > 4 else ' text-anchor="middle"'
        parts.append(
            f'<text x="{x if k > 4 else left + middle:.1f}" y="{y:.1f}" font-size="{font:.1f}"{turned}>{shown}</text>'
        )
    for row, column in zip(*np.nonzero(counts), strict=True):
        x, y, part = left + column * size, top + row * size, float(share[row, column])
        names = safe_name(classes[row], 40), safe_name(classes[column], 40)
        title = f"true {names[0]}, predicted {names[1]}: {counts[row, column]:,} ({part:.1%} of the row)"
        kind = "correct" if row == column else "wrong"
        parts.append(
            f'<rect class="{kind}" fill-opacity="{0.08 + 0.92 * part:.3f}" x="{x:.1f}" y="{y:.1f}" '
            f'width="{size:.1f}" height="{size:.1f}"><title>{safe_text(title)}</title></rect>'
        )
        if k <= _MAX_NUMBERED:
            parts.append(
                f'<text class="{"on" if part > 0.5 else "name"}" x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}" '
                f'text-anchor="middle">{counts[row, column]:,}</text>'
            )
    parts.append(f'<rect class="frame" x="{left:.1f}" y="{top:.1f}" width="{k * size:.1f}" height="{k * size:.1f}"/>')
    return _svg(width, height, f"Confusion matrix of {k} classes", parts)


def scatter_chart(x: Array, y: Array, x_name: str, y_name: str) -> str:
    """Points (n,) with the line x = y; of more than 2,000 points a fixed random sample."""
    if len(x) > _MAX_POINTS:
        rows = np.random.default_rng(0).permutation(len(x))[:_MAX_POINTS]
        x, y = x[rows], y[rows]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    both = ticks(low, high)
    axes = _Axes((min(low, both[0]), max(high, both[-1])), (min(low, both[0]), max(high, both[-1])), height=380)
    parts = list(axes.draw(both, both, x_name, y_name))
    ends = [(axes.px(end), axes.py(end)) for end in axes.x]
    parts.append(f'<path class="ideal" d="M{ends[0][0]:.1f} {ends[0][1]:.1f}L{ends[1][0]:.1f} {ends[1][1]:.1f}"/>')
    parts += [
        f'<circle class="point" cx="{axes.px(a):.1f}" cy="{axes.py(b):.1f}" r="3"/>'
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]
    return _svg(axes.width, axes.height, f"{y_name} against {x_name}, {counted(len(x), 'point')}", parts)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that enclose low to high, at most `most` + 2 of them."""
    if not (high - low) / most > 0:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    power = math.floor(math.log10((high - low) / most))
    step = 10.0**power
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 1 - power) for n in range(first, last + 1)]


def safe_name(name: str, limit: int) -> str:
    """A class name on one line, at most `limit` characters, not yet escaped."""
    flat = " ".join(name.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def _legend(names: Sequence[str], width: float) -> Iterator[str]:
    """Names above the plot on the right, each after a piece of its line."""
    right = width - _RIGHT
    for n, name in reversed(list(enumerate(names))):
        yield _text(right, 14, name, "end", "name")
        left = right - 6.2 * len(name) - 8
        yield f'<path class="s{n % 2}" fill="none" stroke-width="2.2" d="M{left - 26:.1f} 10H{left:.1f}"/>'
        right = left - 44


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{safe_text(text, 40)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"


def _svg(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    spoken = safe_text(label, 400)
    return (
        f'<svg class="plot" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{spoken}">'
        f"<title>{spoken}</title>{''.join(parts)}</svg>"
    )
