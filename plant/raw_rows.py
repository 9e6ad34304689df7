"""Raw rows: what a reader hands on, a stretch of a file at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Malformed:
    """A line that is not a row of its file."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class RawRows:
    """A stretch of the rows of one export. `lines[i]` is the line of row i of `table`, counted from 1, header included.

    mark: the largest value of the source's `since` column in these rows, as text; None where it names none.
    """

    label: str
    table: pa.Table
    lines: np.ndarray
    malformed: list[Malformed] = field(default_factory=list)
    mark: str | None = None
    cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # columns that were worked out
