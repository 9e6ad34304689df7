"""What the work orders of the whole machine tell: of the equipment that this one is part of, and of all its parts.

A machine is an equipment with its parts, those that name it as `parent_id`; an equipment without a parent is a machine
itself. Which part belongs where is what the records of equipment said at the cut-off. Orders of the equipment itself
count among those of its machine.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from features.asof import Floats, History, Ints
from features.definitions import Ask, FeatureSet, Lines, Trace, each, windows
from features.maintenance import words
from features.spec import window_us
from features.timeline import Timeline, hours_since, picked, picks, take, timeline

MACHINE = FeatureSet("machine", "equipment", "What the work orders of the whole machine tell.", words)


def machine_of(history: History) -> Ints:
    """Per version of an equipment: number of its machine, which is the code of its parent, else its own.

    A parent without a record of its own has a number beyond the codes of the equipment.
    """

    def make() -> Ints:
        log = history.log("equipment")
        ids = {w: i for i, w in enumerate(log.words["equipment_id"])}
        parents = [ids.setdefault(w, len(ids)) for w in log.words["parent_id"]]
        parent = np.array([*parents, -1], dtype=np.int64)[log.codes["parent_id"]]
        return np.where(parent >= 0, parent, log.codes["equipment_id"])

    return history.keep(("machines",), make)


def _orders(history: History, kinds: tuple[str, ...]) -> Timeline:
    """Orders by machine * kinds, each while its equipment is known to be part of that machine."""

    def make() -> Timeline:
        log, equipment = history.log("work_orders"), history.log("equipment")
        own = equipment.seek("equipment_id", np.array(log.words["equipment_id"], dtype=object))
        orders = pd.DataFrame({"of": np.append(own, -1)[log.codes["equipment_id"]], "order": np.arange(log.size)})
        versions = pd.DataFrame({"of": equipment.codes["equipment_id"], "version": np.arange(equipment.size)})
        pairs = orders.merge(versions, on="of")
        row, version = pairs["order"].to_numpy(), pairs["version"].to_numpy()
        kind, machine = log.coded("kind", kinds)[row], machine_of(history)[version]
        group = np.where(kind >= 0, machine * len(kinds) + kind, -1)
        start = np.maximum(log.known("kind")[row], equipment.known("parent_id")[version])
        until = np.minimum(log.until[row], equipment.until[version])
        groups = (int(machine_of(history).max(initial=-1)) + 1) * len(kinds)
        return timeline(groups, group, log.times["opened_at"][row], start, until, row=row)

    return history.keep(("orders by machine", kinds), make)


def _base(ask: Ask) -> Ints:
    """(n,) machine of each row, as known at its cut-off."""
    row = picked(picks(ask.history, "equipment", ("equipment_id",)), ask.base("equipment"), ask.t)[:, 0]
    return np.where(row >= 0, take(machine_of(ask.history), row), -1)


def _rows(trace: Trace, *, last: bool) -> Lines:
    machines, orders = trace.known("equipment"), trace.known("work_orders", kind=trace.values["kind"])
    root = machines["parent_id"].fillna(machines["equipment_id"])
    mine = root[machines["equipment_id"] == trace.subject]
    rows = orders[orders["equipment_id"].isin(machines["equipment_id"][root.isin(mine)])]
    if trace.start is not None:
        rows = rows[rows["opened_at"] >= trace.start]
    return {"work_orders": rows[rows["opened_at"] == rows["opened_at"].max()] if last else rows, "equipment": machines}


@MACHINE.feature("machine.since.{kind}", "hours since the last {kind} order on the machine or any part of it", "h",
                 source="work_orders", group="maintenance of the machine", over=(each("kind", "kinds"),),
                 at="opened_at", rows=partial(_rows, last=True))
def _since(ask: Ask) -> Floats:
    kinds = ask.words.kinds
    line = _orders(ask.history, kinds)
    return hours_since(line, line.latest(_base(ask), ask.t, len(kinds))[:, :, 0], ask.t[:, None])


@MACHINE.feature("machine.count.{kind}.{window}",
                 "number of {kind} orders on the machine and all parts of it over the last {length}",
                 source="work_orders", group="maintenance of the machine", look_back="{window}",
                 over=(each("kind", "kinds"), windows("machine")), at="opened_at", rows=partial(_rows, last=False))
def _count(ask: Ask) -> Floats:
    kinds, spec = ask.words.kinds, ask.spec.machine
    line, base = _orders(ask.history, kinds), _base(ask)
    lengths = [window_us(w) for w in spec.windows] if spec is not None else []
    return np.stack([line.count(base, ask.t, len(kinds), window=w) for w in lengths], axis=2)
