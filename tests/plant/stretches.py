"""Mapping without files: raw cells in, canonical rows and what was put aside out, cut into stretches as one likes."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from plant.forms import Item
from plant.mapping import ItemMapper, Lookups, Mapped
from plant.raw_rows import RawRows
from plant.site import Site, load_site
from plant.sources import Source


@functools.cache
def _plain_site() -> Site:
    source = {"system": "log", "path": "log.csv", "format": "csv"}
    columns = {"batch_id": "a", "product": "a", "started_at": "a"}
    content = {"site": "s", "title": "s", "sources": {"log": source}}
    content["tables"] = {"batches": [{"source": "log", "columns": columns}]}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "site.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_site(folder)


def site_of(crosswalks: dict[str, dict[str, str]] | None = None, **source: Any) -> Site:
    """A site with the one source `log`."""
    log = Source.model_validate({"system": "log", "path": "log.csv", "format": "csv", "time_zone": "UTC"} | source)
    walks = {k: pd.DataFrame({"value": list(v.values())}, index=list(v)) for k, v in (crosswalks or {}).items()}
    return dataclasses.replace(_plain_site(), sources={"log": log}, crosswalks=walks)


@dataclasses.dataclass
class Out:
    rows: pd.DataFrame
    aside: pd.DataFrame
    read: int
    carry: dict[str, Any] | None


def mapped(
    item: dict[str, Any],
    table: pa.Table,
    to: str = "events",
    cuts: Sequence[int] = (),
    site: Site | None = None,
    label: str = "log.csv",
    carried: dict[str, Any] | None = None,
) -> Out:
    """What an item makes of one export that is read in stretches, cut before the rows `cuts`."""
    mapper = ItemMapper(
        site or site_of(), to, Item.model_validate({"source": "log", **item}), Lookups(lambda *_: []), carried
    )
    lines = np.arange(2, table.num_rows + 2)
    edges = [0, *sorted(cuts), table.num_rows]
    pieces = [mapper.rows(RawRows(label, table.slice(a, b - a), lines[a:b])) for a, b in itertools.pairwise(edges)]
    last = mapper.end()
    pieces += [last] if last is not None else []
    return Out(_below([p.rows for p in pieces]), _below([p.quarantine for p in pieces]), _read(pieces), mapper.carry())


def _below(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [f.astype({c: object for c in f if isinstance(f[c].dtype, pd.CategoricalDtype)}) for f in frames if len(f)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def _read(pieces: list[Mapped]) -> int:
    return sum(p.read for p in pieces)
