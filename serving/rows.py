"""Feature rows of a model version in memory: what was known before a time at one data version never changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.assemble import Matrix, batch_matrix
from governance.versions import ModelVersion
from models.predict import FailurePredictor, QualityPredictor
from serving.data import Data

CACHED_ROWS = 50_000


@dataclass(frozen=True)
class Served:
    """A version in memory."""

    version: ModelVersion
    role: str
    predictor: FailurePredictor | QualityPredictor


class FeatureRows:
    """The rows that were asked for last, of one model."""

    def __init__(self) -> None:
        self._lock, self._assembly = threading.Lock(), threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str, int], np.ndarray] = OrderedDict()

    def of(
        self, served: Served, data: Data, ids: list[str], gates: list[str], times: list[pd.Timestamp]
    ) -> np.ndarray:
        """(n, p) feature rows; only those that are not in memory are assembled, all of them in one pass.

        Of batches by one thread at a time: who asks for what another makes waits for it.
        """
        with self._assembly if isinstance(served.predictor, QualityPredictor) else nullcontext():
            return self._assembled(served, data, ids, gates, times)

    def _assembled(
        self, served: Served, data: Data, ids: list[str], gates: list[str], times: list[pd.Timestamp]
    ) -> np.ndarray:
        version = made_by(served, data)
        keys = [(*version, f"{i}\x1f{g}", t.value) for i, g, t in zip(ids, gates, times, strict=True)]
        with self._lock:
            found = {key: self._kept[key] for key in keys if key in self._kept}
            for key in found:
                self._kept.move_to_end(key)
        missing = [n for n, key in enumerate(keys) if key not in found]
        if missing:
            frame = pd.DataFrame({"id": [ids[n] for n in missing], "t": pd.DatetimeIndex([times[n] for n in missing])})
            matrix = _assemble(served, data, frame, [gates[n] for n in missing])
            found |= {keys[n]: matrix.values[i] for i, n in enumerate(missing)}
            with self._lock:
                self._kept.update({keys[n]: found[keys[n]] for n in missing})
                while len(self._kept) > CACHED_ROWS:
                    self._kept.popitem(last=False)
        return np.stack([found[key] for key in keys]) if keys else np.empty((0, len(served.predictor.features)))


def made_by(served: Served, data: Data) -> tuple[str, str]:
    """What feature rows are kept by: the data that they are read from, and the bundle."""
    of_load = isinstance(served.predictor, QualityPredictor)
    return (data.snapshot.data_version if of_load else data.version), served.version.sha256


def _assemble(served: Served, data: Data, frame: pd.DataFrame, gates: list[str]) -> Matrix:
    if served.version.task == "failure":
        return data.matrix(served.predictor.plan, frame.rename(columns={"id": "equipment_id"}))
    cutoffs = pd.DataFrame({"batch_id": frame["id"], "gate": gates, "t": frame["t"]})
    return batch_matrix(data.snapshot, served.predictor.plan, cutoffs)
