"""The live log under random histories, beside an obvious one of lists and dictionaries."""

from __future__ import annotations

import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.asof import as_of
from plant.live_log import Appended, Entry, LiveLog
from plant.snapshot import Frames
from plant.tables import TABLES
from tests.plant.live_place import MICRO, NOON, Place


@dataclass
class Obvious:
    """The rules of the log, with lists and dictionaries."""

    entries: list[tuple[int, str, list[dict[str, Any]]]] = field(default_factory=list)
    newest: dict[Any, dict[str, Any]] = field(default_factory=dict)
    said: dict[Any, pd.Timestamp] = field(default_factory=dict)
    recorded: pd.Timestamp = NOON - pd.Timedelta(days=9)
    trimmed: int = 0
    last: int = 0

    def append(self, table: str, given: list[dict[str, Any]], now: pd.Timestamp) -> Appended:
        moment, taken, counts = max(now, self.recorded + MICRO), [], dict[Any, int]()
        keys = [(table, *(r[k] for k in TABLES[table].key)) for r in given]
        says = [{c: v for c, v in r.items() if c != "recorded_at" and not pd.isna(v)} for r in given]
        fresh = []
        for i, key in enumerate(keys):
            at = given[i].get("recorded_at")
            if at is None or key not in self.said or at >= self.said[key]:
                fresh.append(i)
                self.said.update({} if at is None else {key: at})
        before = dict(self.newest)
        for i in fresh:
            rest = [j for j in fresh if j >= i and keys[j] == keys[i]]
            if any(says[j] == before.get(keys[i]) for j in rest) or says[i] == self.newest.get(keys[i]):
                continue
            self.newest[keys[i]] = says[i]
            number = counts[keys[i]] = counts.get(keys[i], -1) + 1
            taken.append(says[i] | {"recorded_at": moment + number * MICRO})
        if taken:
            self.last += 1
            self.recorded = max(r["recorded_at"] for r in taken)
            self.entries.append((self.last, table, taken))
        return Appended(len(taken), len(given) - len(taken), (), self.last)


def told(entries: list[Entry]) -> list[tuple[int, str, list[dict[str, Any]]]]:
    return [
        (e.seq, e.table, [{c: v for c, v in r.items() if not pd.isna(v)} for r in e.rows.to_dict("records")])
        for e in entries
    ]


ago = st.integers(1, 3).map(lambda m: NOON - pd.Timedelta(minutes=m))
lineage = {"recorded_at": st.none() | ago}
drawn = {
    "readings": st.fixed_dictionaries(
        {"equipment_id": st.sampled_from("AB"), "signal": st.just("s"), "ts": ago, "value": st.sampled_from([0.0, 1.0]),
         "quality": st.sampled_from([None, "bad"]), **lineage}
    ),
    "events": st.fixed_dictionaries(
        {"event_id": st.sampled_from("AB"), "equipment_id": st.just("M"), "ts": ago, "kind": st.just("state"),
         **lineage}
    ),
    "batch_steps": st.fixed_dictionaries(
        {"batch_id": st.sampled_from("AB"), "step": st.just("s"), "started_at": ago, **lineage},
        optional={"x": st.sampled_from([1.0, 2.0]), "y": st.just(1.0)},
    ),
}  # fmt: skip
appends = st.sampled_from(sorted(drawn)).flatmap(
    lambda name: st.tuples(st.just(name), st.lists(drawn[name], min_size=1, max_size=5), st.integers(-2, 3))
)
steps = st.lists(st.just("reopen") | st.tuples(st.just("trim"), st.integers(0, 6)) | appends, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, most=st.integers(1, 9))
def test_random_histories(place: Place, steps: list[Any], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = Place(Path(folder) / f"site-{uuid.uuid4().hex}", place.url)
        log, obvious, now = own.open(), Obvious(), NOON
        for step in steps:
            if step == "reopen":
                log.close()
                log = own.open()
            elif step[0] == "trim":
                obvious.trimmed = max(obvious.trimmed, min(step[1], obvious.last))
                log.trim(step[1])
            else:
                name, given, ahead = step
                now += ahead * MICRO
                assert log.append(name, pd.DataFrame(given), now) == obvious.append(name, given, now)
        kept = [e for e in obvious.entries if e[0] > obvious.trimmed]
        assert told(log.since(obvious.trimmed)) == kept
        seen, after = [], obvious.trimmed
        while some := log.since(after, most):
            assert sum(len(e.rows) for e in some[:-1]) < most
            seen, after = seen + told(some), some[-1].seq
        assert seen == kept
        assert (log.last(), log.trimmed()) == (obvious.last, obvious.trimmed)
        log.close()


@settings(max_examples=40, deadline=None)
@given(given=st.lists(st.lists(drawn["readings"], min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_replay_shows_what_a_reader_had_seen(given: list[list[dict[str, Any]]]) -> None:
    """After each entry, a reader knows what the as-of view of the whole log shows until the next entry's moment."""
    with tempfile.TemporaryDirectory() as folder:
        log = LiveLog.open(Path(folder) / "site")
        for some in given:
            log.append("readings", pd.DataFrame(some), NOON)
        entries = log.since(0)
        log.close()
    whole = Frames({"readings": pd.concat([e.rows for e in entries])})
    seen: dict[Any, float] = {}
    for i, entry in enumerate(entries):
        seen |= {(r.equipment_id, r.ts): r.value for r in entry.rows.itertuples()}
        ends = [entry.rows["recorded_at"].max() + MICRO]
        ends += [entries[i + 1].rows["recorded_at"].min()] if i + 1 < len(entries) else []
        for t in ends:
            view = as_of(whole, t).table("readings")
            assert {(r.equipment_id, r.ts): r.value for r in view.itertuples()} == seen
