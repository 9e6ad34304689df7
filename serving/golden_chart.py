"""A signal of a batch in the envelope of its reference batches, as a drawing. What is outside has a mark of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.golden import Floats, spans
from plant.svg import BLUE, INK, LINE, QUIET, RED, drawing, text
from serving.words import number

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 860.0, 70.0, 16.0, 12.0, 210.0
_WIDE, _NARROW = "#dce8f2", "#a9c7e0"
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def chart(step: Mapping[str, Any], signal: Mapping[str, Any]) -> str:
    """SVG of one `signals` entry of one `steps` entry of `serving.golden.golden_batch`."""
    curve = _values(signal["curve"])
    usual = {name: _values(values) for name, values in signal["envelope"].items()}
    seen = np.concatenate([curve, *usual.values()])
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return ""
    marks = ticks(float(seen.min()), float(seen.max()))
    low, high = min(marks[0], float(seen.min())), max(marks[-1], float(seen.max()))

    def y(value: float) -> float:
        return _BOTTOM - (value - low) / (high - low) * (_BOTTOM - _TOP)

    def x(slot: float) -> float:
        return _LEFT + slot / len(curve) * (_WIDTH - _LEFT - _RIGHT)

    parts = [_axis(step, marks, x, y, len(curve))]
    for lower, upper, fill in (("p5", "p95", _WIDE), ("p25", "p75", _NARROW)):
        parts.append(_band(usual[lower], usual[upper], fill, x, y))
    parts.append(_line(usual["p50"], f'stroke="{BLUE}" stroke-width="1.5" stroke-dasharray="6 4"', x, y))
    for limit in (signal["low"], signal["high"]):
        if limit is not None and low <= limit <= high:
            parts.append(
                f'<path d="M{_LEFT:g} {y(limit):.1f}H{_WIDTH - _RIGHT:g}" fill="none" stroke="{RED}" '
                f'stroke-dasharray="2 3"/>' + text(_WIDTH - _RIGHT, y(limit) - 3, "limit", "end", RED, 11)
            )
    parts.append(_line(curve, f'stroke="{INK}" stroke-width="2"', x, y))
    with np.errstate(invalid="ignore"):
        outside = (curve < usual["p5"]) | (curve > usual["p95"])
    for k in np.flatnonzero(outside):  # a diamond, so that it shows without colour
        parts.append(f'<path d="M{x(k + 0.5):.1f} {y(curve[k]) - 4:.1f}l4 4l-4 4l-4 -4z" fill="{RED}"/>')
    return drawing(
        _WIDTH, _BOTTOM + 52, f"{signal['signal']} along {step['step']}", description(signal), "".join(parts)
    )


def description(signal: Mapping[str, Any]) -> str:
    """What the drawing shows, in a sentence."""
    if signal["share_outside"] is None:
        return f"{signal['known']} of {len(signal['curve'])} slots known, none that could be compared"
    told = f"{signal['share_outside']:.0%} of {signal['compared']} slots outside the 5 to 95 % band"
    longest = signal["longest_outside"]
    if longest:
        told += f", longest from {longest['from_percent']:.0f} to {longest['to_percent']:.0f} % ({longest['side']})"
    return told


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 2 round values from at or below `low` to at or above `high`, evenly spaced."""
    room = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(room / most))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * most >= room * (1 - 1e-9))
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [k * step for k in range(first, last + 1)]


def _values(given: Sequence[float | None]) -> Floats:
    return np.array([math.nan if v is None else v for v in given], dtype=np.float64)


def _axis(step: Mapping[str, Any], marks: Sequence[float], x: Any, y: Any, slots: int) -> str:
    parts = []
    for mark in marks:
        parts.append(f'<path d="M{_LEFT:g} {y(mark):.1f}H{_WIDTH - _RIGHT:g}" fill="none" stroke="{LINE}" '
                     f'stroke-width="0.5"/>')
        parts.append(text(_LEFT - 6, y(mark) + 4, number(mark), "end", QUIET, 11))
    begin, end = step["started_at"], step["ended_at"] or step["expected_end"]
    for share in _QUARTERS:
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        at = x(share * slots)
        parts.append(f'<path d="M{at:.1f} {_BOTTOM:g}v5" fill="none" stroke="{QUIET}"/>')
        parts.append(text(at, _BOTTOM + 18, f"{share:.0%}", anchor, INK, 11))
        for row, clock in ((32, "local"), (46, "utc")):
            first, last = pd.Timestamp(begin[clock]), pd.Timestamp(end[clock])
            told = first + (last - first) * share
            said = f"{told.day} {told:%b %H:%M}" + (" UTC" if clock == "utc" else "")
            parts.append(text(at, _BOTTOM + row, said, anchor, QUIET, 11))
    return "".join(parts)


def _band(low: Floats, high: Floats, fill: str, x: Any, y: Any) -> str:
    """Filled between two curves; where they are not known, nothing is drawn."""
    out = []
    for a, b in spans(np.isfinite(low) & np.isfinite(high)):
        upper = [f"{x(k + 0.5):.1f} {y(high[k]):.1f}" for k in range(a, b)]
        lower = [f"{x(k + 0.5):.1f} {y(low[k]):.1f}" for k in reversed(range(a, b))]
        out.append(f'<path d="M{"L".join(upper + lower)}z" fill="{fill}"/>')
    return "".join(out)


def _line(values: Floats, pen: str, x: Any, y: Any) -> str:
    """A line with gaps; a single slot between gaps is a short dash."""
    out = []
    for a, b in spans(np.isfinite(values)):
        points = [(x(k + 0.5), y(values[k])) for k in range(a, b)]
        if b - a == 1:
            points = [(points[0][0] - 3, points[0][1]), (points[0][0] + 3, points[0][1])]
        out.append(f'<path d="M{"L".join(f"{h:.1f} {v:.1f}" for h, v in points)}" fill="none" {pen}/>')
    return "".join(out)
