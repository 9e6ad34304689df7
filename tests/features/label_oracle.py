"""Labels the slow way: one cut-off at a time, in plain Python over lists of rows, as the reference states the rules."""

from __future__ import annotations

from typing import Any

import pandas as pd

from features import LabelSpec
from features.asof import Snapshot, last_versions

HOUR = pd.Timedelta(hours=1)
Row = dict[str, Any]
NEVER = pd.Timestamp.max.tz_localize("UTC")


def hindsight(plant: Snapshot) -> dict[str, list[Row]]:
    """Last versions of the rows that labels are made of; empty cells are None."""
    out = {}
    for name in ("equipment", "readings", "events", "downtime", "work_orders"):
        found = last_versions(plant, name).astype(object)
        out[name] = found.where(found.notna(), None).to_dict("records")
    return out


def rows(known: dict[str, list[Row]], table: str, equipment: str) -> list[Row]:
    """Those of one equipment."""
    return [r for r in known[table] if r["equipment_id"] == equipment]


def failure_records(known: dict[str, list[Row]], spec: LabelSpec, equipment: str) -> list[Row]:
    out = []
    still_open = NEVER if any(o["closed_at"] is not None for o in known["work_orders"]) else None
    for order in rows(known, "work_orders", equipment):
        if order["kind"] in spec.failure.kinds:
            closed = max(order["closed_at"] or still_open or order["opened_at"], order["opened_at"])
            mode = order["failure_mode"] or "unknown"
            out.append({"at": order["opened_at"], "end": closed, "mode": mode,
                        "wanted": spec.failure.modes == "all" or mode in spec.failure.modes})
    if spec.failure.events is not None:
        for event in rows(known, "events", equipment):
            listed = spec.failure.events.codes == "all" or event["code"] in spec.failure.events.codes
            if event["kind"] == spec.failure.events.kind and listed:
                out.append({"at": event["ts"], "end": event["ts"], "mode": event["code"] or "unknown", "wanted": True})
    if spec.failure.retirement:
        for asset in rows(known, "equipment", equipment):
            if asset["retired_at"] is not None:
                end = asset["retired_at"]
                out.append({"at": end, "end": end, "mode": "end_of_life", "wanted": True})
    return out


def episodes_of(records: list[Row], by: str, gap: pd.Timedelta) -> list[Row]:
    """at, end, mode, wanted, size of each episode."""
    heaps: list[list[Row]] = []
    groups = sorted({r["mode"] for r in records}) if by == "mode" else [None]
    for group in groups:
        own = [r for r in records if group is None or r["mode"] == group]
        own.sort(key=lambda r: (r["at"], r["mode"] == "unknown", r["mode"]))
        heap: list[Row] = []
        for record in own:
            if heap and by == "mode":
                joins = record["at"] - heap[-1]["at"] <= gap
            else:
                # open orders need no gap, and a gap after the end of time is none
                joins = any(r["end"] == NEVER or record["at"] <= r["end"] + gap for r in heap)
            if not heap or not joins:
                heap = []
                heaps.append(heap)
            heap.append(record)
    out = []
    for heap in heaps:
        coded = [r["mode"] for r in heap if r["mode"] != "unknown"]
        mode = coded[0] if coded else "unknown"
        out.append({"at": heap[0]["at"], "end": max(r["end"] for r in heap), "mode": mode, "size": len(heap),
                    "wanted": any(r["wanted"] for r in heap if r["mode"] == mode)})
    return out


class Oracle:
    """Labels of one equipment under one specification."""

    def __init__(self, known: dict[str, list[Row]], data_end: pd.Timestamp, spec: LabelSpec, equipment: str,
                 until: pd.Timestamp | None = None):
        self.spec, self.until = spec, until
        self.end = data_end if until is None else until
        asset = rows(known, "equipment", equipment)[0]
        self.begin, self.retired = asset["commissioned_at"], asset["retired_at"] or NEVER
        self.orders = rows(known, "work_orders", equipment)
        self.stops = rows(known, "downtime", equipment)
        self.episodes = episodes_of(
            failure_records(known, spec, equipment), spec.episode_by, pd.Timedelta(spec.episode_gap))
        times = [r["ts"] for name in ("readings", "events") for r in rows(known, name, equipment)]
        times += [s[c] for s in self.stops for c in ("started_at", "ended_at")]
        times += [o[c] for o in self.orders for c in ("opened_at", "started_at", "closed_at")]
        self.records = sorted({x for x in times if x is not None and self.seen(x)
                               and (self.begin is None or self.begin <= x) and x <= self.retired})

    def seen(self, x: pd.Timestamp) -> bool:
        return bool(x <= self.end if self.until is None else x < self.until)

    def silent_at(self, t: pd.Timestamp) -> bool:
        longer = pd.Timedelta(self.spec.unobserved_after)
        if t in self.records:
            return False
        before, after = [x for x in self.records if x < t], [x for x in self.records if x > t]
        left = before[-1] if before else self.begin
        right = after[0] if after else min(self.retired, self.end)
        return left is None or right - left > longer

    def silence_from(self, t: pd.Timestamp) -> pd.Timestamp:
        longer = pd.Timedelta(self.spec.unobserved_after)
        following = [*self.records[1:], min(self.retired, self.end)]
        return min([a for a, b in zip(self.records, following, strict=True) if a >= t and b - a > longer],
                   default=NEVER)

    def renewal_from(self, t: pd.Timestamp) -> pd.Timestamp:
        spec, found = self.spec, []
        for order in self.orders:
            when = order["started_at"] or order["closed_at"]
            if order["kind"] in spec.censor_at and when is not None and when >= t:
                mine = spec.failure.modes == "all" or order["failure_mode"] in (None, *spec.failure.modes)
                if spec.censor_by == "equipment" or mine:
                    found.append(when)
        return min(found, default=NEVER)

    def label(self, t: pd.Timestamp) -> tuple[float, bool, str, str]:
        """duration_h, observed, mode, reason."""
        spec = self.spec
        if (self.begin is not None and t < self.begin) or t >= self.retired:
            return 0.0, False, "", "out_of_service"
        if spec.unobserved_after is not None and self.silent_at(t):
            return 0.0, False, "", "not_observed"
        for stop in self.stops:
            ends = stop["ended_at"] or NEVER
            counts = spec.exclude_downtime is True or (spec.exclude_downtime == "planned" and stop["planned"] is True)
            if counts and stop["started_at"] <= t < ends:
                return 0.0, False, "", "downtime"
        if spec.exclude_episodes and any(x["at"] < t < x["end"] for x in self.episodes):
            return 0.0, False, "", "episode"
        ends = {"renewal": self.renewal_from(t), "retirement": self.retired,
                "not_observed": self.silence_from(t) if spec.unobserved_after is not None else NEVER}
        ahead = sorted([x for x in self.episodes if x["wanted"] and x["at"] >= t], key=lambda x: (x["at"], x["mode"]))
        if ahead and self.seen(ahead[0]["at"]) and ahead[0]["at"] <= min(ends.values()):
            if ahead[0]["at"] < t + pd.Timedelta(spec.lead):
                return 0.0, False, "", "lead"
            return (ahead[0]["at"] - t) / HOUR, True, ahead[0]["mode"], ""
        ends["end_of_data"] = self.end
        why = min(ends, key=lambda k: ends[k])
        return max((ends[why] - t) / HOUR, 0.0), False, "", why
