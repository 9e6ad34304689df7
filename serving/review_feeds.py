"""Whether each system has sent data while the batch was made and tested: silence is an exception, no clean sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from features.asof import NEVER, micros, moment
from features.reading_ranges import Series
from serving.review_case import AROUND, Case, Known
from serving.review_finding import Found, Outcome
from serving.review_habits import lab_habits
from serving.review_kinds import LOT_RESULTS, RECORDS, REFERENCE
from serving.review_readings import first_readings

# The times of a table's rows that show its system at work
_SIGNS = {
    "batch_steps": ("started_at", "ended_at"),
    "genealogy": ("used_at",),
    "downtime": ("started_at", "ended_at"),
    "lab_results": ("sampled_at", "approved_at"),
    "deviations": ("opened_at", "closed_at"),
    "dispositions": ("record_complete_at", "reviewed_at", "disposed_at"),
    "work_orders": ("opened_at", "started_at", "closed_at"),
    "events": ("ts",),
}
_BY_BATCH = ("batch_steps", "genealogy", "lab_results", "dispositions")
_LOST = {"equipment": "rooms and their environment", "signals": "excursions from limits"}
_LEAST_GAPS = 5
_AFTER = ("lab_results", "deviations", "dispositions")  # systems that go on with a batch when it has ended
_MOST_EQUIPMENT = 12  # whose readings are looked through for a sign of the historian
_READINGS_STEP = pd.Timedelta(minutes=5)


def check(case: Case) -> Outcome:
    """Entries: the tables that a batch is reviewed on."""
    declared = {t: why for t in (*RECORDS, LOT_RESULTS) if (why := case.rules.not_expected.get(t)) is not None}
    needed = [t for t in RECORDS if t not in declared]
    needed += [t for t, by in REFERENCE.items() if not by <= set(declared)]
    found = [
        f for t in needed if t in case.plant.systems
        for f in (_reference(case, t) if t in REFERENCE else _table(case, t))
    ]  # fmt: skip
    found += _not_connected(case, [t for t in needed if t not in case.plant.systems])
    entries = len({*RECORDS, *needed})
    return Outcome("feeds", entries, [*found, *_declared(case, declared)])


def _not_connected(case: Case, tables: Sequence[str]) -> list[Found]:
    """What the site connects no source of: one exception, as it is the same with every batch."""
    if not tables:
        return []
    names = [t.replace("_", " ") for t in tables]
    told = ["these were not looked at" if len(names) > 1 else f"{names[0]} were not looked at"]
    told += [f"without {t}, {lost} were not either" for t, lost in _LOST.items() if t in tables]
    if set(tables) & set(RECORDS):
        told.append("what it has no records of it can declare in review.yaml (`not_expected`)")
    systems = {case.plant.system(t) for t in tables}
    return [
        Found(
            "system_not_connected",
            tuple(f"feeds/{t}" for t in tables),
            f"the site connects no source of {', '.join(names)}: {'; '.join(told)}",
            case.started,
            {"not_connected": names, "limit": "a source of each"},
            table=tables[0] if len(systems) == 1 else "",
            about=tuple(f"feeds/{t}" for t in tables),
        )
    ]


def _reference(case: Case, table: str) -> list[Found]:
    """Equipment and signals say where rooms are and what limits are: without them less was looked at than it seems."""
    if len(case.known.table(table)):
        return []
    return [
        Found(
            "feed_missing",
            (f"feeds/{table}",),
            f"there are no {table} at all: {_LOST[table]} could not be looked at",
            case.started,
            {"limit": f"a source of {table}"},
            table=table,
        )
    ]


def _declared(case: Case, tables: Mapping[str, str]) -> list[Found]:
    """What the site says it has no records of: one exception, so that it is seen with every batch."""
    if not tables:
        return []
    by_reason: dict[str, list[str]] = {}
    for table, why in tables.items():
        by_reason.setdefault(why, []).append(table.replace("_", " "))
    told = "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items())
    return [
        Found(
            "not_expected",
            ("feeds/not_expected",),
            f"not looked at, as the site declares: {told}",
            case.started,
            dict(tables),
            about=tuple(f"feeds/{t}" for t in tables if t in RECORDS),
        )
    ]


def _table(case: Case, table: str) -> list[Found]:
    said, key = table.replace("_", " "), (f"feeds/{table}",)
    times = signs(case, table)
    if not len(times):
        return [
            Found(
                "feed_missing",
                key,
                f"there are no {said} at all: {case.plant.system(table)} has sent nothing",
                case.started,
                {"limit": f"some {said}"},
                table=table,
            )
        ]
    begin, end = case.started, _end(case, table)
    silent = longest_silence(times, moment(begin), moment(end))
    allowed = _allowed(case, table, silent[0])
    ratio = (silent[1] - silent[0]) / (allowed / pd.Timedelta(1, "us"))
    since, until = (pd.Timestamp(t, unit="us", tz="UTC") for t in silent)
    hours = (until - since) / pd.Timedelta(hours=1)
    return [
        Found(
            "feed_silent",
            key,
            f"{case.plant.system(table)} sent no {said} for {hours:.0f} h while this batch was made or "
            f"tested; {allowed / pd.Timedelta(hours=1):.0f} h are allowed",
            since,
            {"since": since, "allowed_h": allowed / pd.Timedelta(hours=1)},
            until=until,
            measure=ratio,
            table=table,
        )
    ]


def _allowed(case: Case, table: str, since: int) -> pd.Timedelta:
    """The longest silence that tells nothing: as declared, or longer where the table's records are rarer than that.

    Twice the time in which, nineteen times in twenty, the next batch begins, as systems are quiet between two batches.
    Of records that no batch needs (a stop, an order) what one silence in a hundred exceeds at the rate until then too:
    T · (100^(1/n) - 1) for n records in a time T (predictive distribution of a Poisson process known only by them).
    """
    declared = case.rules.settings.feeds[table].delta
    if table == "readings":
        return declared
    begun = case.known.keep("begun", lambda: np.sort(micros(case.known.table("batches")["started_at"])))
    before = begun[begun <= moment(case.started)]
    gaps = np.diff(before if len(before) > _LEAST_GAPS else begun)[-100:]
    usual = 2 * float(np.quantile(gaps, 0.95)) if len(gaps) >= _LEAST_GAPS else 0.0
    if table not in _BY_BATCH:
        column = _SIGNS[table][0]
        first = case.known.keep(("first", table), lambda: np.sort(micros(case.known.table(table)[column])))
        n = int(np.searchsorted(first, since, side="right"))
        span = since - min(int(first[0]), int(begun[0]))
        usual = max(usual, span * (100 ** (1 / n) - 1)) if n else usual
    return max(declared, pd.Timedelta(min(usual, 1e16), "us"))


def signs(case: Case, table: str) -> np.ndarray:
    """Times (µs, ascending) at which the table's system was at work, as known before the review's time."""
    if table == "readings":
        return _reading_times(case)
    return case.known.keep(("signs", table), lambda: _signs(case.known, table))


def _signs(known: Known, table: str) -> np.ndarray:
    frame = known.table(table)
    times = np.concatenate([micros(frame[c]) for c in _SIGNS[table]])
    return np.unique(times[times != NEVER])


def _reading_times(case: Case) -> np.ndarray:
    """Times of readings around the batch: of its own equipment and rooms, and, where those fall silent, of others.

    Readings of machines come only while they run, so one machine's silence is no silence of the historian.
    """
    own = _stamps(
        [
            case.readings(name, case.started - AROUND, case.until + AROUND)
            for name in {*(s.equipment_id for s in case.steps), *case.rooms}
        ]
    )
    allowed = case.rules.settings.feeds["readings"].delta / pd.Timedelta(1, "us")
    begin, end = moment(case.started), moment(_end(case, "readings"))
    if len(own):
        silent = longest_silence(own, begin, end)
        if silent[1] - silent[0] <= allowed:
            return own
    every = case.known.keep("read before", lambda: _read_before(case))
    read = case.known.readings(every, case.started - AROUND, case.until + AROUND)
    times = _stamps([{str(i): s} for i, s in enumerate(read.values())])
    if not len(times) and every:  # something was read, not around this batch
        return np.array([moment(case.started - AROUND)], dtype=np.int64)
    return times


def _read_before(case: Case) -> list[str]:
    """Equipment that was read before the review's time: rooms, which are read all the time, then the longest read."""
    first: dict[str, pd.Timestamp] = {}
    for (name, _), at in first_readings(case).items():
        if at < case.t:
            first[name] = min(at, first.get(name, at))
    rooms = set(
        case.known.rows("equipment", "equipment_class", *case.rules.settings.environment_classes)["equipment_id"]
    )
    return sorted(first, key=lambda name: (name not in rooms, first[name], name))[:_MOST_EQUIPMENT]


def _stamps(read: list[dict[str, Series]]) -> np.ndarray:
    """Distinct times, to five minutes."""
    found = [s.ts for signals in read for s in signals.values()]
    step = int(_READINGS_STEP / pd.Timedelta(1, "us"))
    return np.unique(np.concatenate(found) // step) * step if found else np.empty(0, dtype=np.int64)


def _end(case: Case, table: str) -> pd.Timestamp:
    """Until when the system had to do with the batch: its end, or when its results are there, at most the review."""
    end = case.until
    if table in _AFTER and case.ended is not None:
        slow = [h.slow for h in lab_habits(case).values() if h.slow == h.slow] if case.enough_peers else []
        end = case.ended + pd.Timedelta(hours=max(slow, default=0.0))
    return max(min(end, case.t), case.started)


def longest_silence(times: np.ndarray, begin: int, end: int) -> tuple[int, int]:
    """The longest stretch without a sign that reaches into [begin, end]; it ends at `end` at the latest.

    A stretch is measured from the last sign before `begin` on, so that silence which began earlier counts whole.
    """
    inside = times[(times > begin) & (times < end)]
    before = times[times <= begin]
    edges = np.concatenate([[before[-1] if len(before) else begin], inside, [end]])
    after = times[times >= end]
    if len(after) and not len(inside):
        edges[-1] = end
    lengths = np.diff(edges)
    at = int(np.argmax(lengths))
    return int(edges[at]), int(edges[at + 1])
