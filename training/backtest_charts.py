"""Drawings of a backtest as SVG: savings with their interval, lead times, orders a week, cost by threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from plant.svg import AMBER, BLUE, GREY, INK, LINE, PAPER, QUIET, RED, drawing, rect, text

WIDTH = 860.0


def amount(value: float, currency: str = "") -> str:
    """`1,234,000 EUR`, rounded to three or four digits that mean something."""
    step = 10.0 ** max(0, len(f"{abs(value):.0f}") - 4)
    return f"{round(value / step) * step:,.0f}" + (f" {currency}" if currency else "")


def line(x1: float, y1: float, x2: float, y2: float, colour: str = INK, width: float = 1.0, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width:g}"{dashed}/>')


def intervals(rows: Sequence[tuple[str, float, Sequence[float] | None]], unit: str, title: str) -> str:
    """A bar from zero a row, with the 90 % interval as a line over it."""
    left, right, step, top = 260.0, 190.0, 34.0, 30.0
    ends = [v for _, value, span in rows for v in (value, *(span or ()))]
    low, high = min([0.0, *ends]), max([0.0, *ends, 1.0])
    reach = (high - low) or 1.0

    def at(value: float) -> float:
        return left + (value - low) / reach * (WIDTH - left - right)

    bottom = top + step * len(rows)
    parts = [line(at(0), top - 8, at(0), bottom), text(at(0), top - 13, "0", "middle", QUIET, 11)]
    told = []
    for i, (name, value, span) in enumerate(rows):
        y = top + i * step + 6
        parts.append(text(left - 10, y + 13, name, "end"))
        parts.append(rect(min(at(0), at(value)), y, abs(at(value) - at(0)), 18, BLUE if value >= 0 else RED))
        words = amount(value, unit)
        if span is not None:
            for colour, wide in ((PAPER, 5.0), (INK, 2.0)):  # a pale edge, so that it shows on the bar too
                parts.append(line(at(span[0]), y + 9, at(span[1]), y + 9, colour, wide))
            parts += [line(at(v), y + 2, at(v), y + 16, INK, 2) for v in span]
            told.append(f"{name}: {words}, 90 % interval {amount(span[0])} to {amount(span[1])}")
        else:
            told.append(f"{name}: {words}")
        parts.append(text(max(at(value), *(at(v) for v in span or (0.0,))) + 8, y + 13, words, "start", INK, 12, True))
    return drawing(WIDTH, bottom + 6, title, "; ".join(told), "".join(parts))


def histogram(hours: Sequence[float], width_h: float, title: str, most_h: float, lead_h: float) -> str:
    """How long before the failure the order was opened."""
    count = max(1, round(most_h / width_h))
    bins = [0] * count
    for h in hours:
        bins[min(count - 1, int(h // width_h))] += 1
    left, top, height = 60.0, 14.0, 170.0
    wide, most = (WIDTH - left - 20) / count, max([*bins, 1])
    parts = [line(left, top + height, WIDTH - 20, top + height)]
    for i, n in enumerate(bins):
        tall = n / most * (height - 36)
        hint = f"{i * width_h:g} to {(i + 1) * width_h:g} h: {n}"
        parts.append(rect(left + i * wide + 1, top + height - tall, wide - 2, tall, BLUE, hint))
        if n:
            parts.append(text(left + (i + 0.5) * wide, top + height - tall - 4, str(n), "middle", INK, 11))
    ticks = range(0, count + 1, max(1, count // 12))
    parts += [text(left + i * wide, top + height + 15, f"{i * width_h:g}", "middle", QUIET, 11) for i in ticks]
    parts.append(text(WIDTH / 2, top + height + 32, "hours from the order to the failure", "middle", QUIET, 11))
    if lead_h > 0:
        x = left + lead_h / width_h * wide
        parts.append(line(x, top, x, top + height, RED, 2, "5 4"))
        parts.append(text(x + 5, top + 10, f"needed: {lead_h:g} h", "start", RED, 11))
    told = "; ".join(f"{i * width_h:g} to {(i + 1) * width_h:g} h: {n}" for i, n in enumerate(bins) if n)
    return drawing(WIDTH, top + height + 40, title, told or "no failure was prevented", "".join(parts))


def weeks(rows: Sequence[dict[str, Any]], capacity: float | None, title: str) -> str:
    """Orders of each week: those that a failure followed, and above them, outlined, those that none followed."""
    left, top, height = 60.0, 14.0, 170.0
    most = max([*(r["orders"] for r in rows), capacity or 0, 1]) * 1.1
    wide = (WIDTH - left - 20) / max(len(rows), 1)
    parts = [line(left, top + height, WIDTH - 20, top + height)]
    for i, r in enumerate(rows):
        x, full, true = left + i * wide + 2, r["orders"] / most * height, r["true"] / most * height
        hint = f"week from {r['begins'][:10]}: {r['true']} before a failure, {r['false']} false"
        parts.append(rect(x, top + height - true, wide - 4, true, BLUE, hint))
        if r["false"]:
            size = f'width="{wide - 6:.1f}" height="{full - true:.1f}"'
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{top + height - full:.1f}" {size} '
                f'fill="{PAPER}" stroke="{AMBER}" stroke-width="2"><title>{hint}</title></rect>'
            )
        if i % max(1, -(-len(rows) // 8)) == 0:
            parts.append(text(x, top + height + 15, r["begins"][:10], "start", QUIET, 11))
    for n in range(0, int(most) + 1, max(1, round(most / 5))):
        parts.append(text(left - 8, top + height - n / most * height + 4, str(n), "end", QUIET, 11))
    if capacity is not None:
        y = top + height - capacity / most * height
        parts.append(line(left, y, WIDTH - 20, y, RED, 2, "5 4"))
        parts.append(text(WIDTH - 22, y - 5, f"crew's capacity: {capacity:g} a week", "end", RED, 11))
    told = "; ".join(f"{r['begins'][:10]}: {r['orders']}" for r in rows)
    return drawing(WIDTH, top + height + 24, title, f"Orders by week: {told}", "".join(parts))


def cost_curve(
    curve: Sequence[Sequence[float]], order_at: float, watch_from: float, cost: float, never: float, unit: str,
    title: str,
) -> str:
    """Cost by threshold, on a scale of the logarithm of the odds; the chosen one, and the undecided band shaded."""
    left, top, height = 90.0, 16.0, 190.0

    def odds(p: float) -> float:
        p = min(max(p, 1e-4), 1 - 1e-4)
        return math.log(p / (1 - p))

    known = [(odds(a), c) for a, c in curve]
    low, high = odds(1e-4), odds(1 - 1e-4)
    most = max([c for _, c in known] + [never, 1.0]) * 1.05

    def x(p: float) -> float:
        return left + (odds(p) - low) / (high - low) * (WIDTH - left - 20)

    def y(c: float) -> float:
        return top + height - c / most * height

    band = rect(x(watch_from), top, x(order_at) - x(watch_from), height, GREY, "undecided")
    path = " ".join(f"{left + (o - low) / (high - low) * (WIDTH - left - 20):.1f},{y(c):.1f}" for o, c in known)
    parts = [
        band, line(left, top + height, WIDTH - 20, top + height), line(left, top, left, top + height, LINE),
        line(left, y(never), WIDTH - 20, y(never), QUIET, 1.5, "5 4"),
        text(WIDTH - 22, y(never) - 5, "run to failure", "end", QUIET, 11),
        f'<polyline points="{path}" fill="none" stroke="{BLUE}" stroke-width="2.5"/>',
    ]
    if order_at <= 1:
        parts.append(f'<circle cx="{x(order_at):.1f}" cy="{y(cost):.1f}" r="5" fill="{RED}"/>')
        parts.append(text(x(order_at) + 9, y(cost) + 16, f"order from {100 * order_at:.3g} %", "start", RED, 12, True))
    for p in (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999):
        parts.append(text(x(p), top + height + 15, f"{100 * p:g} %", "middle", QUIET, 11))
    parts.append(text(WIDTH / 2, top + height + 32, "risk from which an order is opened", "middle", QUIET, 11))
    for part in (0.0, 0.5, 1.0):
        parts.append(text(left - 8, y(part * most / 1.05) + 4, amount(part * most / 1.05), "end", QUIET, 11))
    least = f"least cost {amount(cost, unit)} when ordering from {100 * order_at:.3g} %"
    told = f"{least}; run to failure {amount(never, unit)}"
    return drawing(WIDTH, top + height + 40, title, told, "".join(parts))
