"""What serving needs to know of batches: the gate each has passed, its specification, what is outstanding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import as_of
from features.labels import gate_times
from features.trend import trend_limits
from models.predict import QualityPredictor
from models.quality import History
from models.targets import targets_of
from plant.errors import NotReady, UnknownId, listing, nearest
from plant.snapshot import SnapshotLike

Pair = tuple[float | None, float | None]
Limits = dict[str, Pair]
Result = dict[str, Any]  # value, status, approved_at (ISO)
#: Feature rows (n, p) of batches at a gate, at the times they passed it.
Rows = Callable[[Sequence[str], str, Sequence[pd.Timestamp]], np.ndarray]


class BatchBook:
    """Batches of one data version, as one quality model sees them."""

    def __init__(self, site: str, snapshot: SnapshotLike, predictor: QualityPredictor, rows: Rows):
        spec = predictor.spec
        self.site, self.snapshot, self.spec = site, snapshot, spec
        self.attributes = predictor.attributes
        batches = _newest(snapshot.table("batches"), ["batch_id"])
        self._batches = {str(row["batch_id"]): row for row in batches.to_dict("records")}
        self._covered = {name for name, row in self._batches.items() if spec.population.covers(str(row["product"]))}
        self._rows = rows
        self._later: dict[str, dict[str, History]] = {}
        self._lock = threading.Lock()
        self._results: tuple[pd.Timestamp, dict[str, dict[str, Result]]] | None = None
        gates = gate_times(snapshot, spec.gates).sort_values("t", kind="stable")
        self._gates: dict[str, list[tuple[str, pd.Timestamp]]] = {}
        for batch_id, gate, t in zip(gates["batch_id"], gates["gate"], gates["t"], strict=True):
            if pd.notna(t):
                self._gates.setdefault(str(batch_id), []).append((str(gate), t))
        self._limits = self._specifications()

    def outstanding(self, t: pd.Timestamp) -> list[str]:
        """Batches of the model's products that have passed a gate before `t` and lack a predicted result at `t`."""
        known, wanted = self.results(t), set(self.attributes)
        return [
            name for name in self._batches
            if name in self._covered and self.passed(name, t) and not wanted <= known.get(name, {}).keys()
        ]

    def results(self, t: pd.Timestamp) -> dict[str, dict[str, Result]]:
        """batch -> attribute -> the valid result approved last, as it was known strictly before `t`."""
        kept = self._results  # read once: other threads ask too
        if kept is None or kept[0] != t:
            kept = self._results = t, self._approved(t)
        return kept[1]

    def _approved(self, t: pd.Timestamp) -> dict[str, dict[str, Result]]:
        results = as_of(self.snapshot, t).table("lab_results")
        said = results["status" if self.spec.target == "pass_fail" else "value"]
        told = said.notna() & results["approved_at"].notna() & results["batch_id"].notna()
        rows = results[told & (results["status"].astype(object) != "invalidated")]
        rows = rows[rows["attribute"].isin(self.attributes)]
        rows = rows.sort_values(["approved_at", "result_id"], kind="stable")
        out: dict[str, dict[str, Result]] = {}
        columns = ("batch_id", "attribute", "value", "status", "approved_at")
        for batch_id, attribute, value, status, at in zip(*(rows[c] for c in columns), strict=True):
            out.setdefault(str(batch_id), {})[str(attribute)] = {
                "value": None if pd.isna(value) else float(value), "status": _word(status) or None,
                "approved_at": at.isoformat(),
            }
        return out

    def holds(self, batch_id: str) -> bool:
        """Whether it is a batch of this data version."""
        return batch_id in self._batches

    def gate(self, batch_id: str, t: pd.Timestamp) -> tuple[str, pd.Timestamp]:
        """The last gate that the batch passed before `t`, and when. Raises UnknownId or NotReady (`no_gate_yet`)."""
        if batch_id not in self._batches:
            raise UnknownId(
                "unknown_batch", f"site {self.site} has no batch '{batch_id}'", listing(self._batches),
                nearest(batch_id, self._batches),
            )
        passed = self.passed(batch_id, t)
        if not passed:
            later = self._gates.get(batch_id)
            raise NotReady(
                "no_gate_yet", f"batch '{batch_id}' had passed no gate of the model by {t.isoformat()}",
                f"a time from {later[0][1].isoformat()} on" if later else f"a batch with {listing(self.spec.gates)}",
            )
        return passed[-1]

    def limits(self, batch_id: str, t: pd.Timestamp) -> Limits:
        """Specification of each predicted attribute that was in force at t, from samples taken before t.

        That of the batch's own latest sample, else of the batch of its product and recipe that was started last: a
        strength may be either. A product without a sample of the recipe has the limits that all its recipes share, or
        none. Where nothing was sampled yet, the batch's own later samples tell: it was agreed before the batch is made.
        """
        row = self._batches[batch_id]
        out: Limits = {}
        for attribute in self.attributes:
            own = self._limits.get(("batch", batch_id, attribute), [])
            of_product = self._limits.get(("product", str(row["product"]), attribute), [])
            before = [s for s in of_product if s.known < t]
            found = _latest([s for s in own if s.known < t]) or _of_recipe(before, _word(row["recipe"]))
            out[attribute] = found or (_latest(own) if own and not before else None) or (None, None)
        return out

    def trends(self, asked: Sequence[tuple[str, pd.Timestamp]]) -> list[Limits]:
        """Trend limits of each predicted attribute for (batch, time), from results known strictly before that time."""
        products = {name: str(row["product"]) for name, row in self._batches.items()}
        rows = pd.DataFrame({
            "batch_id": [b for b, _ in asked], "product": [products[b] for b, _ in asked],
            "t": pd.DatetimeIndex([t for _, t in asked], tz="UTC"),
        })
        targets = targets_of(self.snapshot, self.attributes, self.spec)
        targets = targets.assign(
            product=targets["batch_id"].astype(str).map(products), approved_at=targets["known_at"]
        )
        out: list[Limits] = [{} for _ in asked]
        for attribute in self.attributes:
            found = trend_limits(rows, targets[targets["attribute"] == attribute])
            for told, (low, high) in zip(out, found, strict=True):
                told[attribute] = (None, None) if np.isnan(low) else (float(low), float(high))
        return out

    def later(self, predictor: QualityPredictor, gates: Sequence[str]) -> dict[tuple[str, str], History]:
        """Residuals of batches that came after the model's training, for each attribute at `gates`.

        They hold every approved result of this data version; the predictor uses for each batch only those that were
        known before it passed its gate. A corrected result is known from its correction.
        """
        trained_until = pd.Timestamp(predictor.data["train_end"])
        for gate in gates:
            with self._lock:
                if gate not in self._later:
                    self._later[gate] = self._residuals(predictor, gate, trained_until)
        return {(a, g): history for g in gates for a, history in self._later[g].items()}

    def _residuals(self, predictor: QualityPredictor, gate: str, since: pd.Timestamp) -> dict[str, History]:
        rows = gate_times(self.snapshot, [gate])
        rows = rows[(rows["t"] >= since) & rows["batch_id"].isin(self._covered)].reset_index(drop=True)
        if rows.empty:
            return {}
        values = self._rows(rows["batch_id"].astype(str).tolist(), gate, list(rows["t"]))
        targets = targets_of(self.snapshot, self.attributes, self.spec)
        out = {}
        for attribute in self.attributes:
            if (attribute, gate) not in predictor.models:
                continue
            of = targets[targets["attribute"] == attribute].drop_duplicates("batch_id").set_index("batch_id")
            found = rows["batch_id"].map(of["value"]).to_numpy(np.float64)
            known = pd.DatetimeIndex(rows["batch_id"].map(of["known_at"]))
            out[attribute] = predictor.models[attribute, gate].history(
                values, found, pd.DatetimeIndex(rows["t"]), known
            )
        return out

    def about(self, batch_id: str) -> dict[str, Any]:
        """Product and line of a batch, as text."""
        row = self._batches[batch_id]
        return {name: "" if pd.isna(row[name]) else str(row[name]) for name in ("product", "line")}

    def earlier(self, gate: str, t: pd.Timestamp) -> list[tuple[str, pd.Timestamp]]:
        """Batches of the model's products that passed `gate` before `t`, and when; oldest first."""
        found = [(b, at) for b in self._covered for name, at in self._gates.get(b, []) if name == gate and at < t]
        return sorted(found, key=lambda row: (row[1], row[0]))

    def passed(self, batch_id: str, t: pd.Timestamp) -> list[tuple[str, pd.Timestamp]]:
        """The gates that a batch passed before `t`, and when; none of a batch that is not there."""
        return [(gate, at) for gate, at in self._gates.get(batch_id, []) if at <= t]

    def _specifications(self) -> dict[tuple[str, str, str], list[_Specified]]:
        """(kind, batch or product, attribute) -> what its samples say, every version of a row."""
        results = self.snapshot.table("lab_results")
        results = results[results["batch_id"].notna() & (results["lower_spec"].notna() | results["upper_spec"].notna())]
        known = results[["sampled_at", "recorded_at"]].max(axis=1)
        out: dict[tuple[str, str, str], list[_Specified]] = {}
        columns = ("batch_id", "attribute", "lower_spec", "upper_spec")
        for batch_id, attribute, low, high, at in zip(*(results[c] for c in columns), known, strict=True):
            limits = (None if pd.isna(low) else float(low), None if pd.isna(high) else float(high))
            of = self._batches.get(str(batch_id), {})
            begun = of.get("started_at", pd.NaT)
            one = _Specified(_NEVER if pd.isna(begun) else begun, at, _word(of.get("recipe")), limits)
            for kind, name in (("batch", str(batch_id)), ("product", str(of.get("product", "")))):
                out.setdefault((kind, name, str(attribute)), []).append(one)
        return out


@dataclass(frozen=True)
class _Specified:
    """Limits that a sample carries: of a batch begun when, known when (sampled, or the row corrected), of a recipe."""

    begun: pd.Timestamp
    known: pd.Timestamp
    recipe: str
    limits: Pair


_NEVER = pd.Timestamp("1677-09-22", tz="UTC")


def _latest(samples: Sequence[_Specified]) -> Pair | None:
    """Limits of the batch that was started last, of its sample taken last."""
    return max(samples, key=lambda s: (s.begun, s.known)).limits if samples else None


def _of_recipe(samples: Sequence[_Specified], recipe: str) -> Pair | None:
    """The latest limits of a recipe; of another one where all recipes agree. None where that cannot be told."""
    by: dict[str, list[_Specified]] = {}
    for sample in samples:
        by.setdefault(sample.recipe, []).append(sample)
    if recipe in by:
        return _latest(by[recipe])
    shared = {_latest(some) for some in by.values()}
    return shared.pop() if len(shared) == 1 else None


def _word(value: Any) -> str:
    return "" if value is None or pd.isna(value) else str(value)


def _newest(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """One row a key: the version that was recorded last."""
    return frame.sort_values("recorded_at", na_position="first", kind="stable").drop_duplicates(key, keep="last")
