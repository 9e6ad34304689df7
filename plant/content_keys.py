"""`@content`: a key of a row that has none, made of its cells, the same wherever and whenever the row is read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa


class ContentKeys:
    """Keys of the rows of one export, stretch after stretch: 16 hex digits, and -2 for the second identical row."""

    def __init__(self) -> None:
        self._hashes, self._counts = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)

    def keys(self, names: list[str], text_of: Callable[[str], pd.Categorical], n: int) -> pa.Array:
        """The order of the columns does not matter; an empty cell counts as much as a full one."""
        total = np.zeros(n, dtype=np.uint64)
        for name in sorted(names):
            cells = text_of(name)
            words = pd.Index([f"{name}={w}" for w in cells.categories] + [f"{name}:"], dtype=object)
            hashes = pd.util.hash_array(words.to_numpy(), categorize=False)
            total = total * np.uint64(0x9E3779B97F4A7C15) + hashes[cells.codes]
        number = self._numbered(total)
        several = np.flatnonzero(number > 1)
        keys = [f"{h:016x}" for h in total.tolist()]
        for row in several.tolist():
            keys[row] += f"-{number[row]}"
        return pa.array(keys, pa.string())

    def _numbered(self, total: np.ndarray) -> np.ndarray:
        """1 for the first row of the export with that content, 2 for the second, ..."""
        unique, inverse, counts = np.unique(total, return_inverse=True, return_counts=True)
        before = np.zeros(len(unique), dtype=np.int64)
        if len(self._hashes):
            at = np.minimum(np.searchsorted(self._hashes, unique), len(self._hashes) - 1)
            seen = self._hashes[at] == unique
            before[seen] = self._counts[at[seen]]
            self._counts[at[seen]] += counts[seen]
            fresh, fresh_counts = unique[~seen], counts[~seen]
        else:
            fresh, fresh_counts = unique, counts
        hashes = np.concatenate([self._hashes, fresh])
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._counts = hashes[order], np.concatenate([self._counts, fresh_counts])[order]
        within = pd.Series(inverse).groupby(inverse).cumcount().to_numpy() if len(total) else inverse
        return np.asarray(before[inverse] + within + 1)
