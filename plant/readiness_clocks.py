"""Clocks of two systems against each other, from moments that both of them record.

A machine stops: the MES has a downtime, the historian no readings, the CMMS an order that was started. All differences
between the moments of two systems on the same machine are taken; where they pile up is the offset of the clocks.
A clock that is wrong gives a narrow pile away from zero; a habit (orders are typed later) gives a wide one.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from plant.readiness_offsets import FEWEST, Moments, Offset, estimate, leading_edge
from plant.readiness_records import FAILURE, HOUR, MINUTE, QUALITY, SECOND, Finding, Records, finding, micros
from plant.readiness_scan import Series

_LEAST = 2 * MINUTE  # below this clocks agree: records are kept in minutes
_TYPED = 4 * MINUTE  # an order is typed some minutes after what it reports
# Readings tell a moment within a sampling step; batches that begin on the sampling grid look half a step off.
_SURE = 0.95


def moments(records: Records, series: Series) -> list[Moments]:
    """What the systems of a site record of their machines starting and stopping."""
    out: list[Moments] = []
    downtime, orders = records.rows("downtime"), records.rows("work_orders")
    steps, events = records.rows("batch_steps"), records.rows("events")
    out += _of(records, "downtime", downtime, "started_at", "stop")
    out += _of(records, "downtime", downtime, "ended_at", "start")
    corrective = orders[orders["kind"] == "corrective"]
    out += _of(records, "work_orders", corrective, "opened_at", "stop")
    out += _of(records, "work_orders", corrective, "started_at", "stop")
    out += _of(records, "work_orders", corrective, "closed_at", "start")
    out += _of(records, "batch_steps", steps, "started_at", "start")
    out += _of(records, "batch_steps", steps, "ended_at", "stop")
    for kind in ("error", "state"):
        some = events[events["kind"] == kind]
        out += _of(records, "events", some, "ts", "either", f"{kind}s")
        if kind == "state":
            for code, rows in some.groupby("code", sort=True):
                out += _of(records, "events", rows, "ts", "either", f"state {code}")
    out = [m for m in out if len(m.ts) >= FEWEST] + _readings(records, series)
    if not out:
        return []
    codes, _ = pd.factorize(np.concatenate([m.machine for m in out]))  # numbers are compared faster than names
    borders = np.cumsum([0, *(len(m.machine) for m in out)])
    return [replace(m, machine=codes[a:b]) for m, a, b in zip(out, borders[:-1], borders[1:], strict=True)]


def _of(records: Records, table: str, rows: pd.DataFrame, column: str, what: str, name: str = "") -> list[Moments]:
    rows = rows[rows[column].notna() & rows["equipment_id"].notna()]
    if not len(rows):
        return []
    source = records.source_of(table, rows)
    ts, machine = micros(rows[column]), rows["equipment_id"].astype(str).to_numpy()
    label = f"{table} ({name})" if name else f"{table}.{column}"
    named = dict.fromkeys(source)
    return [Moments(what, label, s, records.system(s), machine[source == s], ts[source == s]) for s in named]


def _readings(records: Records, series: Series) -> list[Moments]:
    """Starts and stops of machines as their readings show them."""
    moves = series.moves
    if not len(moves):
        return []
    machine = np.array(series.equipment, dtype=object)[moves["series"].to_numpy()]
    grain = np.nan_to_num(series.usual[moves["series"].to_numpy()], nan=0.0)
    frame = pd.DataFrame(
        {"machine": machine.astype(str), "ts": moves["ts"].to_numpy(), "what": moves["what"].to_numpy(), "grain": grain}
    ).drop_duplicates(["machine", "ts", "what"])
    system = next((records.system(s) for s in records.sources("readings")), "readings")
    out = []
    for sign, what in ((1, "start"), (-1, "stop")):
        rows = frame[frame["what"] == sign]
        if len(rows) >= FEWEST:
            g = float(rows["grain"].median())
            out.append(
                Moments(what, "readings", "readings", system, rows["machine"].to_numpy(), rows["ts"].to_numpy(), g)
            )
    return out


def offsets(records: Records, series: Series, every: list[Moments] | None = None) -> list[Offset]:
    """Offsets between the sources of a site, one a kind of moments; against readings from both ends of a step."""
    every = moments(records, series) if every is None else every
    found: list[Offset] = []
    ends: dict[tuple[str, str, str], dict[str, tuple[float, float, int, float]]] = {}
    grains: dict[tuple[str, str, str], float] = {}
    for one, other in combinations(every, 2):
        if one.source == other.source or (one.what != other.what and "either" not in (one.what, other.what)):
            continue
        grain = one.grain + other.grain
        if grain > 2 * HOUR or not _same_moment(one, other):
            continue
        got = estimate(one, other)
        if got is None or (grain > _LEAST and got[3] < 0.6):
            continue
        if grain > _LEAST:
            what = one.what if one.grain == 0 else other.what
            table = (other if one.grain else one).name.partition(".")[0]
            pair = (_clock(one), _clock(other), table)
            ends.setdefault(pair, {})[what] = got
            grains[pair] = max(grain, grains.get(pair, 0.0))
            continue
        found.append(Offset(_clock(one), _clock(other), f"{one.name} and {other.name}", *got, grain))
    for (a, b, table), both in ends.items():
        if {"start", "stop"} <= set(both):  # late by half a step at the start, early by half a step at the stop
            start, stop = both["start"], both["stop"]
            n = min(start[2], stop[2])
            middle = (start[0] + stop[0]) / 2
            found.append(
                Offset(
                    a, b, f"{table} and readings", middle, (start[1] + stop[1]) / 2 / np.sqrt(n) * 2, n,
                    min(start[3], stop[3]), grains[a, b, table],
                )
            )  # fmt: skip
    return found


# Tables whose moments are the same by nature: a step that ends and a stop that follows it are two things.
_TOGETHER = (
    {"downtime", "events"},
    {"downtime", "work_orders"},
    {"downtime", "readings"},
    {"work_orders", "events"},
    {"batch_steps", "events"},
    {"batch_steps", "readings"},
    {"events", "readings"},
)


def _same_moment(one: Moments, other: Moments) -> bool:
    tables = {m.name.partition(".")[0].partition(" ")[0] for m in (one, other)}
    if tables == {"batch_steps", "events"}:
        return "state" in one.name + other.name
    return tables in _TOGETHER


def _clock(m: Moments) -> str:
    return m.system if m.source == "readings" else f"{m.system} ({m.source})"


def late_orders(every: list[Moments]) -> list[Offset]:
    """Orders against stops, where people write them minutes later: the earliest of them tell the clocks.

    Nobody reports a stop before it happens, and somebody reports one at once. Where the first orders come sharply some
    minutes late at both ends of the stops, or before the stop, the clocks differ.
    """
    out = []
    for orders in {m.source: m.system for m in every if m.name.startswith("work_orders")}:
        for stops in {m.source for m in every if m.name.startswith("downtime")}:
            edges = []
            for name, stop in (
                ("work_orders.opened_at", "downtime.started_at"),
                ("work_orders.started_at", "downtime.started_at"),
                ("work_orders.closed_at", "downtime.ended_at"),
            ):
                one = next((m for m in every if m.source == stops and m.name == stop), None)
                other = next((m for m in every if m.source == orders and m.name == name), None)
                edge = leading_edge(one, other) if one is not None and other is not None else None
                if edge is not None and one is not None and other is not None:
                    edges.append((edge, one, other))
            if not edges:
                continue
            first = min(e[0][0] for e in edges)
            agree = [e for e in edges if e[0][0] - first <= max(3 * MINUTE, 2 * e[0][2])]
            if first >= _LEAST and len(agree) < 2:
                continue  # one habit alone is no clock
            (_, n, sure), one, other = agree[0]
            if abs(first - MINUTE) < _LEAST + sure:
                continue
            pair = f"the earliest of {other.name} after {one.name}"
            out.append(Offset(_clock(one), _clock(other), pair, first - MINUTE, sure, n, 1.0))
    return out


def agreed(found: list[Offset]) -> list[Offset]:
    """One offset a pair of systems: the one that most moments support, unless another pair of moments denies it."""
    out = []
    for systems in dict.fromkeys((o.one, o.other) for o in found):
        several = sorted((o for o in found if (o.one, o.other) == systems), key=lambda o: -o.share * np.sqrt(o.matched))
        best = several[0]
        deny = [o for o in several[1:] if o.share > 0.6 * best.share and abs(o.offset - best.offset) > 3 * MINUTE]
        if deny and abs(best.offset) > _LEAST:
            near = [o for o in deny if abs(o.offset) <= _LEAST]
            best = near[0] if near else best
        out.append(best)
    return out


def _later_order(o: Offset) -> bool:
    """Whether an order comes after what it reports, as people type it."""
    one, _, other = o.pair.removeprefix("the earliest of ").partition(" and " if " and " in o.pair else " after ")
    if " after " in o.pair:
        return o.offset > 0
    return (other.startswith("work_orders") and o.offset > 0) or (one.startswith("work_orders") and o.offset < 0)


def clock_skew(records: Records, series: Series) -> tuple[list[Finding], list[Offset]]:
    """Findings about clocks that disagree, and every offset that could be measured."""
    every = moments(records, series)
    measured = agreed([*offsets(records, series, every), *late_orders(every)])
    found = list(_seasonal(records, series, every))
    told = {frozenset((o.one, o.other)) for o, _ in found}
    skewed = [
        o for o in measured
        if abs(o.offset) >= max(_TYPED if _later_order(o) else _LEAST, _SURE * o.grain)
        and o.spread <= max(1.5 * MINUTE, 0.3 * abs(o.offset))
        and frozenset((o.one, o.other)) not in told
    ]  # fmt: skip
    out = [f for _, f in found]
    for o in skewed:
        minutes = o.offset / MINUTE
        hours = round(minutes / 60)
        zone = hours != 0 and abs(minutes - 60 * hours) <= 3
        what = f"{abs(minutes):.1f} min" if not zone else f"{abs(hours)} h (a time zone read the wrong way?)"
        later = "ahead of" if minutes > 0 else "behind"
        fix = f"`clock_offset: {_duration(-o.offset)}`" if not zone else "the right `time_zone`"
        out.append(
            finding(
                "clock_skew",
                "high",
                "",
                o.matched,
                f"the clock of {o.other} is {what} {later} that of {o.one} ({o.pair}; {o.matched} moments, "
                f"± {max(o.spread, o.grain / 2) / MINUTE:.1f} min): what comes first is told wrong; "
                f"if it is the wrong one, give its source {fix}",
                [f"{o.pair}: {minutes:+.1f} min"],
                [FAILURE, QUALITY],
            )
        )
    return out, measured


def _duration(us: float) -> str:
    """As site.yaml takes it, to the second: 150s, -7min."""
    seconds = round(us / SECOND)
    return f"{seconds}s" if seconds % 60 else f"{seconds // 60}min"


def _seasonal(records: Records, series: Series, every: list[Moments]) -> Iterator[tuple[Offset, Finding]]:
    """Two systems that agree in winter and not in summer, or the other way round: summer time read the wrong way."""
    zone = zoneinfo.ZoneInfo(records.site.time_zone)
    parts: list[list[Moments]] = [[], []]
    for m in every:
        days = m.ts // (24 * HOUR)
        shifts = {
            int(d): bool(pd.Timestamp(int(d) * 24 * HOUR, unit="us", tz="UTC").astimezone(zone).dst())
            for d in np.unique(days)
        }
        summer = np.array([shifts[int(d)] for d in days])
        for i, mask in enumerate((~summer, summer)):
            parts[i].append(Moments(m.what, m.name, m.source, m.system, m.machine[mask], m.ts[mask], m.grain))
    if not any(len(m.ts) for m in parts[0]) or not any(len(m.ts) for m in parts[1]):
        return
    winter, summer_ = (
        {(o.one, o.other): o for o in agreed(offsets(records, series, [m for m in part if len(m.ts) >= FEWEST]))}
        for part in parts
    )
    for pair, w in winter.items():
        s = summer_.get(pair)
        if s is None or abs(abs(s.offset - w.offset) - HOUR) > 4 * MINUTE:
            continue
        yield (
            s,
            finding(
                "clock_skew",
                "high",
                "",
                w.matched + s.matched,
                f"the clock of {w.other} is {w.offset / MINUTE:+.0f} min against that of {w.one} in winter and "
                f"{s.offset / MINUTE:+.0f} min in summer: one of them does not follow summer time as site.yaml says; "
                "correct its `time_zone`",
                [w.pair, s.pair],
                [FAILURE, QUALITY],
            ),
        )
