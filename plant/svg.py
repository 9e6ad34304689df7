"""Small drawings as SVG text: strips of cells, bars, offsets with their spread. No script, no font from elsewhere.

Every drawing has a title and a description for screen readers; colour is never the only carrier of what is meant.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from html import escape

INK, PAPER, LINE, QUIET = "#1b2733", "#ffffff", "#9aa7b3", "#5a6875"
BLUE, AMBER, RED, GREY = "#1f5f8b", "#a05a00", "#a4262c", "#d5dce3"
SEVERITY = {"high": RED, "medium": AMBER, "low": BLUE, "info": QUIET}
_ids = itertools.count(1)


def drawing(width: float, height: float, title: str, description: str, body: str) -> str:
    """An SVG element that scales to its column, with `title` and `desc`."""
    n = next(_ids)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="t{n} d{n}" '
        f'xmlns="http://www.w3.org/2000/svg" preserveAspectRatio="xMinYMin meet">'
        f'<title id="t{n}">{escape(title)}</title><desc id="d{n}">{escape(description)}</desc>{body}</svg>'
    )


def text(
    x: float, y: float, words: str, anchor: str = "start", colour: str = INK, size: float = 12, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" font-size="{size:g}"{weight}>'
        f"{escape(words)}</text>"
    )


def rect(x: float, y: float, width: float, height: float, fill: str, hint: str = "") -> str:
    inner = f"<title>{escape(hint)}</title>" if hint else ""
    size = f'width="{max(width, 0):.2f}" height="{height:g}"'
    return f'<rect x="{x:.2f}" y="{y:.2f}" {size} fill="{fill}">{inner}</rect>'


def shade(part: float) -> str:
    """A colour between pale and dark blue, for 0 < part <= 1."""
    part = min(max(part, 0.0), 1.0) ** 0.5
    pale, dark = (207, 224, 238), (20, 66, 104)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(pale, dark, strict=True))


def strips(rows: Sequence[tuple[str, Sequence[float]]], periods: Sequence[str], title: str, description: str) -> str:
    """One line of cells a row: darker is more, a dashed empty cell is nothing. periods: one label more than cells."""
    left, width, cell, gap, top = 170.0, 860.0, 16.0, 4.0, 8.0
    parts = []
    for i, (name, values) in enumerate(rows):
        y = top + i * (cell + gap)
        parts.append(text(left - 8, y + 12, name if len(name) < 26 else name[:24] + "…", "end"))
        most = max([*values, 1.0])
        wide = (width - left) / max(len(values), 1)
        for k, value in enumerate(values):
            hint = f"{name}, {periods[k]} to {periods[k + 1]}: {value:,.0f} rows" if k + 1 < len(periods) else ""
            if value > 0:
                parts.append(rect(left + k * wide, y, wide - 1, cell, shade(value / most), hint))
            else:
                parts.append(
                    rect(left + k * wide, y + cell / 2 - 1, wide - 1, 2, GREY, hint)
                )  # a thin line: nothing was recorded
    bottom = top + len(rows) * (cell + gap)
    if periods:
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
            label = periods[round(part * (len(periods) - 1))][:10]
            parts.append(text(left + part * (width - left), bottom + 14, label, anchor, QUIET, 11))
    return drawing(width, bottom + 22, title, description, "".join(parts))


def bars(
    rows: Sequence[tuple[str, float, float]], title: str, description: str, names: tuple[str, str], log: bool = False
) -> str:
    """Horizontal bars of two parts (whole, of it a part); the part is hatched and its number is written.

    log: lengths by the logarithm, for tables from ten to millions of rows.
    """
    left, width, bar, gap, top, right = 170.0, 860.0, 16.0, 6.0, 8.0, 240.0
    most = max([whole for _, whole, _ in rows] + [1.0])

    def length(value: float) -> float:
        room = width - left - right
        if value <= 0:
            return 0.0
        return room * (math.log10(1 + value) / math.log10(1 + most) if log else value / most)

    n = next(_ids)
    parts = [
        f'<defs><pattern id="h{n}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="6" height="6" fill="{PAPER}"/><rect width="3" height="6" fill="{AMBER}"/></pattern></defs>'
    ]
    for i, (name, whole, part) in enumerate(rows):
        y = top + i * (bar + gap)
        parts.append(text(left - 8, y + 12, name, "end"))
        full = length(whole)
        parts.append(rect(left, y, full, bar, BLUE, f"{name}: {whole:,.0f} {names[0]}"))
        words = f"{whole:,.0f}"
        if part:
            wide = max(length(whole + part) - full if not log else full * part / max(whole + part, 1), 5.0)
            parts.append(rect(left + full, y, wide, bar, f"url(#h{n})", f"{name}: {part:,.0f} {names[1]}"))
            words += f" + {part:,.0f} {names[1]} ({100 * part / (whole + part):.1f} %)"
            full += wide
        parts.append(text(left + full + 6, y + 12, words, "start", INK, 11))
    return drawing(width, top + len(rows) * (bar + gap) + 4, title, description, "".join(parts))


def tally(rows: Sequence[tuple[str, int]], title: str, description: str) -> str:
    """Findings by severity: one square a finding, in the order given, with the number beside it."""
    parts, top = [], 6.0
    for i, (severity, n) in enumerate(rows):
        y = top + i * 24
        parts.append(text(70, y + 13, severity, "end", INK, 12, True))
        shown = min(n, 40)
        for k in range(shown):
            parts.append(rect(80 + k * 17, y + 1, 14, 14, SEVERITY.get(severity, QUIET)))
        parts.append(text(86 + shown * 17, y + 13, str(n)))
    return drawing(860, top + len(rows) * 24, title, description, "".join(parts))


def offsets(rows: Sequence[tuple[str, float, float, bool]], unit: str, title: str, description: str) -> str:
    """A dot with its spread a row, on one axis through zero. The last value marks rows that are a finding."""
    left, width, step, top = 330.0, 860.0, 26.0, 30.0
    reach = max([abs(v) + s for _, v, s, _ in rows] + [5.0]) * 1.1
    middle, room = (left + width) / 2, (width - left) / 2 - 40

    def at(value: float) -> float:
        return middle + value / reach * room

    bottom = top + len(rows) * step
    parts = [f'<line x1="{middle:g}" x2="{middle:g}" y1="{top - 8:g}" y2="{bottom:g}" stroke="{INK}"/>']
    for mark in (-reach / 1.1, 0.0, reach / 1.1):
        parts.append(text(at(mark), top - 14, f"{mark:+.0f} {unit}" if mark else f"0 {unit}", "middle", QUIET, 11))
    for i, (name, value, spread, marked) in enumerate(rows):
        y = top + i * step + 10
        parts.append(text(left - 10, y + 4, name, "end", INK, 11))
        parts.append(
            f'<line x1="{at(value - spread):.2f}" x2="{at(value + spread):.2f}" y1="{y:g}" y2="{y:g}" '
            f'stroke="{QUIET}" stroke-width="3"/>'
        )
        colour = RED if marked else BLUE
        if marked:  # a diamond, so that it shows without colour
            x = at(value)
            parts.append(f'<path d="M{x:.2f} {y - 7:g}l7 7l-7 7l-7 -7z" fill="{colour}"/>')
        else:
            parts.append(f'<circle cx="{at(value):.2f}" cy="{y:g}" r="5" fill="{colour}"/>')
        parts.append(text(at(value + spread) + 10, y + 4, f"{value:+.1f}", "start", INK, 11))
    return drawing(width, bottom + 6, title, description, "".join(parts))
