"""What a load remembers of its exports: which content is new, which row is the older one, which rows are retired."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from plant.row_versions import KEY, Age, hashed
from plant.tables import Table, conform


def retired(table: Table, frame: pd.DataFrame, before: pd.DataFrame, reread: set[str]) -> np.ndarray:
    """Which stored rows came from an export that was read again and is no longer said to hold their key."""
    gone = before["source_file"].isin(reread).to_numpy(dtype=bool)
    if gone.any():
        gone &= ~before[KEY].isin(hashed(conform(table, frame)[list(table.key)])).to_numpy(dtype=bool)
    return gone


def content(sources: dict[str, Any]) -> dict[str, Any]:
    """What of the remembered exports makes a load worth a data version; being read anew is no change."""
    told = ("sha256", "carry", "carry_in")
    return {k: [s.get(t) for t in told] + ([] if s.get("volatile") else [s.get("mark")]) for k, s in sources.items()}


def loaded_in(last: dict[str, Any] | None, entry: str, new: dict[str, Any], number: int) -> int:
    """The load that first saw an export with this content."""
    then = (last["sources"] if last else {}).get(entry, {})
    unchanged = new.get("sha256") is not None and then.get("sha256") == new["sha256"]
    return int(then.get("loaded_in", 0)) if unchanged else number


def age(last: dict[str, Any] | None, sources: dict[str, Any], number: int) -> Age:
    """Files -> number of the load that first saw each with its content of today; unknown ones count as of this load."""

    def ages(files: pd.Series) -> np.ndarray:
        then = {k.partition(":")[2]: int(s.get("loaded_in", 0)) for k, s in (last["sources"] if last else {}).items()}
        now = {k.partition(":")[2]: loaded_in(last, k, s, number) for k, s in sources.items()}
        known = {**then, **now}
        cells = files.array if isinstance(files.dtype, pd.CategoricalDtype) else pd.Categorical(files)
        own = np.array([known.get(str(w), number) for w in cells.categories] + [number], dtype=np.int64)
        return np.asarray(own[cells.codes])

    return ages
