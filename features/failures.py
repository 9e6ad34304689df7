"""When an equipment failed: records of failures (orders, events, the end of life) made into episodes.

An episode is one failure, however many orders were written for it. Hindsight: of every row the last version counts.
With `fill_codes` an order without a failure mode has the one that its text tells, read by a text model (`texts`) that
the caller has fitted before the time from which on it wants to judge.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.asof import NEVER, History, Log, Words
from features.spec import FailureSpec, LabelSpec, window_us
from features.text import TextModel
from features.text_fill import filled_codes
from plant.errors import SteadylineError

UNKNOWN_MODE = "unknown"
END_OF_LIFE = "end_of_life"


def words(log: Log, column: str) -> Words:
    """The words of a column as an array."""
    return np.array(log.words[column], dtype=object)


def failures(h: History, spec: LabelSpec, texts: TextModel | None = None) -> pd.DataFrame:
    """The failures that are predicted, as (equipment_id, at [microseconds], mode, records), sorted.

    One row an equipment and moment: where several modes fail at one moment, the first in the alphabet names it.
    `records`: how many orders and events the failure was written as. Raises SteadylineError (no_text_model).
    """
    frame = episodes(h, spec, texts)
    frame = frame[frame["predicted"]].sort_values(["equipment_id", "at", "mode"], kind="stable")
    frame = frame.drop_duplicates(["equipment_id", "at"]).reset_index(drop=True)
    return frame[["equipment_id", "at", "mode", "records"]]


def episodes(h: History, spec: LabelSpec, texts: TextModel | None = None) -> pd.DataFrame:
    """All failures, predicted or not, as (equipment_id, at, until, mode, predicted, records); times in microseconds.

    An episode begins when its first record was opened and ends (`until`) with the last closing of its orders: NEVER
    while one of them is open; a closing before the opening counts as the opening. Where no order at all has a closing,
    the site does not record them, and an order counts as closed when it was opened. Records are taken by their time:

    * `episode_by: mode`: one of the same equipment and mode within `episode_gap` of the one before belongs to it;
    * `episode_by: equipment`: one of the same equipment, whatever its mode, belongs to it that was opened while an
      order of it was still open, or at most `episode_gap` after the last of them was closed.

    The mode is that of the first record with a mode, at one moment the first in the alphabet; "unknown" where no record
    has one. It is predicted where one of the records with this mode is (`FailureSpec`).
    """
    frame, gap = _records(h, spec.failure, texts), window_us(spec.episode_gap)
    frame["uncoded"] = frame["mode"] == UNKNOWN_MODE
    if spec.episode_by == "mode":
        keys = ["equipment_id", "mode"]
        frame = frame.sort_values([*keys, "at"], kind="stable", ignore_index=True)
        reach = frame["at"]
    else:
        keys = ["equipment_id"]
        frame = frame.sort_values([*keys, "at", "uncoded", "mode"], kind="stable", ignore_index=True)
        reach = frame.groupby(keys)["until"].cummax()
    same = frame[keys].eq(frame[keys].shift()).all(axis=1)
    # the sum of a gap and NEVER would overflow
    near = frame["at"] <= np.minimum(reach.shift(fill_value=0), NEVER - gap) + gap
    frame["episode"] = (~(same & near)).cumsum()
    named = frame.sort_values(["episode", "uncoded", "at"], kind="stable").drop_duplicates("episode")
    mode = frame["episode"].map(named.set_index("episode")["mode"])
    frame["predicted"] &= frame["mode"] == mode
    frame["mode"], frame["records"] = mode, 1
    by = {"equipment_id": "first", "at": "min", "until": "max", "mode": "first", "predicted": "any", "records": "sum"}
    return frame.groupby("episode", as_index=False).agg(by).drop(columns="episode")


def _records(h: History, spec: FailureSpec, texts: TextModel | None) -> pd.DataFrame:
    """(equipment_id, at, until, mode, predicted): orders and events that are failures, and ends of life."""
    parts = [_orders(h.log("work_orders"), spec, texts)]
    if spec.events is not None:
        log = h.log("events")
        chosen = log.coded("kind", (spec.events.kind,)) >= 0
        if not isinstance(spec.events.codes, str):
            chosen &= log.coded("code", spec.events.codes) >= 0
        rows = np.flatnonzero((log.until == NEVER) & chosen & (log.times["ts"] != NEVER)
                              & (log.codes["equipment_id"] >= 0))
        at = log.times["ts"][rows]
        parts.append(pd.DataFrame({
            "equipment_id": words(log, "equipment_id")[log.codes["equipment_id"][rows]], "at": at, "until": at,
            "mode": np.append(words(log, "code"), UNKNOWN_MODE)[log.codes["code"][rows]], "predicted": True,
        }))
    if spec.retirement:
        log = h.log("equipment")
        rows = np.flatnonzero((log.until == NEVER) & (log.times["retired_at"] != NEVER))
        at = log.times["retired_at"][rows]
        parts.append(pd.DataFrame({
            "equipment_id": words(log, "equipment_id")[log.codes["equipment_id"][rows]], "at": at, "until": at,
            "mode": END_OF_LIFE, "predicted": True,
        }))
    found = [p for p in parts if len(p)]
    return pd.concat(found, ignore_index=True) if found else parts[0]


def _orders(log: Log, spec: FailureSpec, texts: TextModel | None) -> pd.DataFrame:
    kind = log.coded("kind", tuple(spec.kinds))
    rows = np.flatnonzero((log.until == NEVER) & (kind >= 0) & (log.times["opened_at"] != NEVER)
                          & (log.codes["equipment_id"] >= 0))
    at = log.times["opened_at"][rows]
    mode = _modes(log, spec, texts)[rows]
    closings = bool(((log.times["closed_at"] != NEVER) & (log.until == NEVER)).any())
    return pd.DataFrame({
        "equipment_id": words(log, "equipment_id")[log.codes["equipment_id"][rows]], "at": at,
        "until": np.maximum(log.times["closed_at"][rows], at) if closings else at, "mode": mode,
        "predicted": np.ones(len(rows), dtype=bool) if isinstance(spec.modes, str) else np.isin(mode, spec.modes),
    })


def _modes(log: Log, spec: FailureSpec, texts: TextModel | None) -> Words:
    """The failure mode of each order version: coded, else filled where the spec asks for it, else "unknown"."""
    if spec.fill_codes is None:
        return np.append(words(log, "failure_mode"), UNKNOWN_MODE)[log.codes["failure_mode"]]
    if texts is None:
        raise SteadylineError("no_text_model", f"labels with fill_codes: {spec.fill_codes}, and no text model",
                              "a model fitted before the labels are used", "give `texts`: features.text_fit.fit_before")
    code = filled_codes(log, texts, "failure_mode", spec.fill_codes).code
    return np.array([UNKNOWN_MODE if c is None else c for c in code], dtype=object)
