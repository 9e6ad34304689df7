"""Reason profiles of batches, kept: what a batch's reasons were at a gate never changes at one data version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.predict import QualityPredictor

Floats = NDArray[np.float64]
Passed = Sequence[tuple[str, pd.Timestamp]]  # batches, and when each passed the gate


class Profiles:
    """Profiles made by one version of a model from one load; those of another take their place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made_by: tuple[str, str] | None = None
        self._kept: dict[tuple[str, str], tuple[list[str], dict[str, Floats]]] = {}

    def of(
        self, made_by: tuple[str, str], predictor: QualityPredictor, attribute: str, gate: str, batches: Passed,
        rows: Callable[[Passed], Floats],
    ) -> tuple[list[str], Floats]:
        """Groups and profiles (n, groups) of n batches at a gate: `models.similar.profiles`.

        made_by: load and bundle. rows: feature rows (m, p) of the batches whose profile is not there yet. Who asks
        while others are made waits for them, instead of making them again.
        """
        with self._lock:
            if self._made_by != made_by:
                self._made_by, self._kept = made_by, {}
            groups, kept = self._kept.get((attribute, gate), ([], {}))
            missing = [(b, t) for b, t in batches if b not in kept]
            if missing:
                groups, made = predictor.profiles(attribute, gate, rows(missing))
                kept |= {b: made[i] for i, (b, _) in enumerate(missing)}
                self._kept[attribute, gate] = groups, kept
            return groups, np.stack([kept[b] for b, _ in batches]) if batches else np.empty((0, len(groups)))
