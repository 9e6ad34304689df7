"""The state that scores equipment now: a snapshot, and what became known after it, row by row.

Who calls what: serving makes one `OnlineState` of a site's newest snapshot, hands it the entries of the live log as
they come (`add`), and asks for rows of a plan (`matrix`). The code that computes a feature is that of training; only
what it reads lies differently: readings in trees that grow (`features.live_readings`), records apart for each
equipment, so that a new reading costs its leaf and a new record the records of its equipment, not the plant's history.
Only a plan whose features count the orders of other equipment (`rates`, `machine`) reads the records of all of it.

A row at t is that of a snapshot which holds the same rows: equal bit for bit, as the tests replay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.asof import ALWAYS, History, micros, moment
from features.assemble import FeaturePlan, Matrix, equipment_matrix_of
from features.live_readings import LiveReadings
from features.readings import Readings, portions, rank_of, readings_of
from plant.errors import SteadylineError
from plant.snapshot import SnapshotLike
from plant.tables import TABLES, conform

READINGS = "readings"
APART = ("signals", "events", "downtime", "work_orders")  # read by equipment; every other table is read whole


class OnlineState:
    """Equipment features at the newest cut-offs, from a snapshot and the rows that came after it.

    reach: how far back the plans that will be asked look at most; readings before the snapshot's end less `reach` are
    not kept. Not safe for several threads at once: the caller holds a lock.
    """

    def __init__(self, snapshot: SnapshotLike, reach: pd.Timedelta):
        self.snapshot, self.reach = snapshot, reach
        self.start = snapshot.data_end - reach
        self.end = snapshot.data_end
        self.rows = 0
        self._readings = LiveReadings(int(reach / pd.Timedelta(1, "us")))
        whole = History(snapshot)
        names = [str(e) for e in whole.log("equipment").words["equipment_id"]]
        for some in portions(whole, names):
            found = readings_of(whole, some)
            if isinstance(found, Readings):
                self._readings.load(found, moment(self.end))
        self._groups: dict[str, dict[str, np.ndarray]] = {}
        self._added: dict[str, dict[str, list[pd.DataFrame]]] = {}
        self._tables: dict[str, pd.DataFrame] = {}
        self._histories: dict[str, History] = {}
        self._whole: History | None = None

    def add(self, table: str, rows: pd.DataFrame) -> None:
        """Rows that became known, in the order in which they did; conforming to the table's contract.

        A row with a key that is there is a new version of it, and says when it was recorded.
        """
        if not len(rows):
            return
        self.rows += len(rows)
        self._whole = self._whole if table == READINGS else None
        known = rows[TABLES[table].known_by].max() if TABLES[table].known_by != "always" else pd.NaT
        for t in (known, rows["recorded_at"].max()):
            self.end = max(self.end, t + pd.Timedelta(1, "us")) if pd.notna(t) else self.end
        if table == READINGS:
            self._add_readings(rows)
        elif table in APART:
            for equipment, part in rows.groupby("equipment_id", sort=False, observed=True):
                self._added.setdefault(table, {}).setdefault(str(equipment), []).append(part)
                self._histories.pop(str(equipment), None)
        else:
            self._tables[table] = _together(table, [self.table(table), rows])
            self._histories.clear()

    def _add_readings(self, rows: pd.DataFrame) -> None:
        ts, since = micros(rows["ts"]), micros(rows["recorded_at"], ALWAYS)
        value = rows["value"].to_numpy(dtype=np.float64)
        for equipment, signal, t, x, stated, recorded in zip(
            rows["equipment_id"], rows["signal"], ts.tolist(), value.tolist(), rows["quality"], since.tolist(),
            strict=True,
        ):
            self._readings.add(str(equipment), str(signal), t, x, rank_of(stated, x), recorded)

    def table(self, name: str) -> pd.DataFrame:
        """A table of the plant as it is now; of those kept by equipment, and of readings, the snapshot's."""
        return self._tables[name] if name in self._tables else self.snapshot.table(name)

    def matrix(self, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
        """Features of equipment at cut-offs (equipment_id, t), as `features.equipment_matrix`, in its order.

        Raises SteadylineError (too_far_back) where a window would begin before the readings that are kept.
        """
        if len(cutoffs) and cutoffs["t"].min() - plan.reach < self.start:
            raise SteadylineError(
                "too_far_back", f"a cut-off at {cutoffs['t'].min()} looks back {plan.reach}",
                f"cut-offs from {self.start + plan.reach} on", "ask the snapshot for features of earlier times",
            )
        if plan.spec.rates is not None or plan.spec.machine is not None:
            rows = cutoffs[["equipment_id", "t"]].reset_index(drop=True)
            return Matrix(equipment_matrix_of(self._whole_history(), plan, rows).values, plan.features, rows)
        parts = {e: np.flatnonzero(cutoffs["equipment_id"] == e) for e in dict.fromkeys(cutoffs["equipment_id"])}
        values = np.empty((len(cutoffs), len(plan.features)))
        for equipment, at in parts.items():
            made = equipment_matrix_of(self._history(str(equipment)), plan, cutoffs.iloc[at])
            values[at] = made.values
        return Matrix(values, plan.features, cutoffs[["equipment_id", "t"]].reset_index(drop=True))

    def _history(self, equipment: str) -> History:
        if equipment not in self._histories:
            made = History(_OfEquipment(self, equipment))
            made.keep((READINGS,), lambda: self._readings)
            self._histories[equipment] = made
        return self._histories[equipment]

    def _whole_history(self) -> History:
        if self._whole is None:
            self._whole = History(_OfEquipment(self, None))
            self._whole.keep((READINGS,), lambda: self._readings)
        return self._whole

    def of_all(self, name: str) -> pd.DataFrame:
        """All rows of a table that is kept by equipment."""
        added = [part for parts in self._added.get(name, {}).values() for part in parts]
        return _together(name, [self.snapshot.table(name), *added])

    def of_equipment(self, name: str, equipment: str) -> pd.DataFrame:
        """The rows of a table that is kept by equipment."""
        if name not in self._groups:
            ids = self.snapshot.table(name)["equipment_id"].to_numpy(dtype=object)
            words, codes = np.unique(ids.astype(str), return_inverse=True)
            order = np.argsort(codes, kind="stable")
            edges = np.searchsorted(codes[order], np.arange(len(words) + 1))
            self._groups[name] = {str(w): order[edges[i]:edges[i + 1]] for i, w in enumerate(words)}
        base = self.snapshot.table(name).iloc[self._groups[name].get(equipment, np.empty(0, dtype=np.int64))]
        added = self._added.get(name, {}).get(equipment, [])
        return _together(name, [base, *added])


def _together(name: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    if len(filled) <= 1:
        return filled[0] if filled else frames[0]
    return conform(TABLES[name], pd.concat(filled, ignore_index=True))


class _OfEquipment:
    """The plant as the features of one equipment, or of all (None), see it. No weak references: its history owns it."""

    __slots__ = ("_equipment", "_state")

    def __init__(self, state: OnlineState, equipment: str | None):
        self._state, self._equipment = state, equipment

    @property
    def data_version(self) -> str:
        return self._state.snapshot.data_version

    @property
    def data_end(self) -> pd.Timestamp:
        return self._state.end

    def table(self, name: str) -> pd.DataFrame:
        if name not in APART:
            return self._state.table(name)
        return self._state.of_all(name) if self._equipment is None else self._state.of_equipment(name, self._equipment)


def reach_of(plans: Sequence[FeaturePlan]) -> pd.Timedelta:
    """How far back the readings' windows of some plans look, with a day to spare."""
    return max((p.reach for p in plans), default=pd.Timedelta(0)) + pd.Timedelta(1, "D")
