"""Log-odds of failing in an interval: trees of all kinds of machine, and for each kind trees of its own.

Trees of all learn what is alike, and a kind's own what only its signals tell; where a kind has both, their log-odds are
averaged, so that each keeps the other from learning a dozen failures by heart. Both start from the observed hazard of
each interval (`offset`), of all machines or of the kind. The mean of log-odds stays additive: so do its reasons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models import boosting
from models.person_period import examples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FEW_EXAMPLES = 50_000
_OWN = re.compile(r"hazard_(\d+)\.txt")


@dataclass(frozen=True)
class Training:
    """How trees are trained: settings and rounds of all, and what `models.hazard.HazardModel` says of the others."""

    settings: Mapping[str, Any]
    rounds: int
    seed: int
    num_threads: int | None
    max_cells: int
    examples_per_row: float


@dataclass(frozen=True)
class HazardTrees:
    """offset: (kinds + 1, intervals), the last row for all machines. own: code of a kind -> its trees.

    A matrix that is asked about has the number of the interval as its last column.
    """

    pooled: lgb.Booster
    offset: Floats
    own: dict[int, lgb.Booster] = field(default_factory=dict)

    @classmethod
    def fit(cls, x: Floats, duration_h: Floats, mode: Ints, edges_h: Floats, kinds: Ints, offset: Floats,
            how: Training, least: int | None) -> HazardTrees:
        """x: (n, p); duration_h, mode, kinds: (n,), kind -1 = not known.

        least: a kind with as many rows that fail before the last edge gets trees of its own, two for five of those
            of all; None, or a single kind: none does.
        """
        pooled = _trained(x, duration_h, mode, edges_h, offset[-1], how, how.rounds)
        failing = kinds[(mode >= 0) & (duration_h < edges_h[-1]) & (kinds >= 0)]
        often = np.bincount(failing, minlength=len(offset) - 1)
        own: dict[int, lgb.Booster] = {}
        if least is not None and len(np.unique(kinds)) > 1:
            for kind in np.flatnonzero(often >= max(least, 1)):
                mine = kinds == kind
                own[int(kind)] = _trained(x[mine], duration_h[mine], mode[mine], edges_h, offset[kind], how,
                                          max(1, how.rounds * 2 // 5))
        return cls(pooled, offset, own)

    def log_odds(self, wide: Floats, kinds: Ints, workers: int) -> Floats:
        """(n,): log-odds of failing in the interval of each row, given no failure before it."""
        interval = wide[:, -1].astype(np.int64)
        wide = self._seen(wide)
        out = self._raw(self.pooled, wide, workers) + self.offset[-1][interval]
        for kind, booster, mine in self._own(kinds):
            raw = self._raw(booster, wide[mine], workers) + self.offset[kind][interval[mine]]
            out[mine] = (out[mine] + raw) / 2.0
        return out

    def contributions(self, wide: Floats, kinds: Ints, workers: int) -> Floats:
        """(n, p + 1): TreeSHAP contributions that sum to `log_odds`; the interval's own is in the last column."""
        interval, inputs = wide[:, -1].astype(np.int64), wide.shape[1] - 1
        wide = self._seen(wide)
        out = self._parts(self.pooled, wide, inputs, self.offset[-1][interval], workers)
        for kind, booster, mine in self._own(kinds):
            start = self.offset[kind][interval[mine]]
            out[mine] = (out[mine] + self._parts(booster, wide[mine], inputs, start, workers)) / 2.0
        return out

    def importance(self, inputs: int) -> Floats:
        """(inputs,): gain of each feature in all trees, each booster's as a share of its own total."""
        boosters = [self.pooled, *self.own.values()]
        gains = np.array([b.feature_importance(importance_type="gain")[:inputs] for b in boosters], dtype=np.float64)
        return np.asarray((gains / np.maximum(gains.sum(axis=1, keepdims=True), 1e-300)).mean(axis=0))

    def save(self, folder: Path) -> list[str]:
        """Write hazard.txt and a hazard_<kind>.txt for each kind with trees of its own; their names."""
        named = {"hazard.txt": self.pooled, **{f"hazard_{kind}.txt": booster for kind, booster in self.own.items()}}
        for name, booster in named.items():
            boosting.write(booster, folder / name)
        return list(named)

    @classmethod
    def load(cls, folder: Path, offset: Floats) -> HazardTrees:
        """Read what `save` wrote."""
        found = {int(m[1]): path for path in sorted(folder.iterdir()) if (m := _OWN.fullmatch(path.name))}
        own = {kind: boosting.read(found[kind]) for kind in sorted(found)}
        return cls(boosting.read(folder / "hazard.txt"), offset, own)

    def _own(self, kinds: Ints) -> Iterator[tuple[int, lgb.Booster, NDArray[np.bool_]]]:
        for kind, booster in self.own.items():
            mine = kinds == kind
            if mine.any():
                yield kind, booster, mine

    @staticmethod
    def _raw(booster: lgb.Booster, wide: Floats, workers: int) -> Floats:
        return np.asarray(booster.predict(wide, raw_score=True, num_threads=workers), dtype=np.float64)

    @staticmethod
    def _parts(booster: lgb.Booster, wide: Floats, inputs: int, start: Floats, workers: int) -> Floats:
        parts = np.asarray(booster.predict(wide, pred_contrib=True, num_threads=workers))
        return np.column_stack([parts[:, :inputs], parts[:, inputs:].sum(axis=1) + start])

    def _seen(self, wide: Floats) -> Floats:
        """The matrix as the trees saw it: its last column as often as they did."""
        more = int(self.pooled.num_feature()) - wide.shape[1]
        return np.concatenate([wide, np.repeat(wide[:, -1:], more, axis=1)], axis=1) if more else wide


def copies_of_interval(feature_fraction: float) -> int:
    """Columns that hold the interval, so that nine trees of ten may split by it where each sees a share of the columns.

    A tree without it would have to give all intervals the same shape.
    """
    left_out = 1.0 - min(max(feature_fraction, 0.01), 1.0)
    return 1 if left_out < 0.1 else math.ceil(math.log(0.1) / math.log(left_out))


def expanded(x: Floats, rows: Ints, interval: Ints, copies: int = 1) -> NDArray[np.float32]:
    """Rows of x with the number of an interval in their last columns."""
    wide = np.empty((len(rows), x.shape[1] + copies), dtype=np.float32)
    np.take(x.astype(np.float32), rows, axis=0, out=wide[:, :-copies])
    wide[:, -copies:] = interval[:, None]
    return wide


def _trained(x: Floats, duration_h: Floats, mode: Ints, edges_h: Floats, offset: Floats, how: Training,
             rounds: int) -> lgb.Booster:
    most = min(how.max_cells // (x.shape[1] + 1), max(_FEW_EXAMPLES, int(how.examples_per_row * len(x))))
    made = examples(duration_h, mode, edges_h, most, how.seed)
    wide = expanded(x, made.row, made.interval, copies_of_interval(float(how.settings["feature_fraction"])))
    return boosting.train(wide, made.target, {**how.settings, "objective": "binary"}, rounds,
                          seed=how.seed, weight=made.weight, num_threads=how.num_threads,
                          init_score=offset[made.interval])
