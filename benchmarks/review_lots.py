"""A lot that turns out bad: put into the exports of a plant, and the batches made of it, found by SQL."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from plant.site import Site
from plant.snapshot import SnapshotLike
from plant.sources import Source
from serving.review import Review

OUT_OF_SPEC, IN_DEVIATION = "lot_out_of_spec", "lot_in_deviation"

# UNION, not UNION ALL: each name once, and a circle in the records ends
_DESCENDANTS = """
WITH RECURSIVE made(name) AS (
    SELECT batch_id FROM genealogy WHERE material_lot = $lot
    UNION
    SELECT g.batch_id FROM genealogy g JOIN made m ON g.material_lot = m.name
)
SELECT name FROM made
"""


def made_of(genealogy: pd.DataFrame, lot: str) -> set[str]:
    """Every batch that a lot went into, through intermediates too."""
    with duckdb.connect() as database:
        database.register("genealogy", genealogy[["batch_id", "material_lot"]].astype(object))
        return {str(name) for (name,) in database.execute(_DESCENDANTS, {"lot": lot}).fetchall()}


def flagged(made: Mapping[str, Review], kind: str, lot: str) -> set[str]:
    """Batches whose review has an exception of a kind on a lot."""
    return {b for b, one in made.items() for e in one.exceptions
            if e.found.kind == kind and e.found.evidence.get("lot") == lot}  # fmt: skip


def through_intermediates(snapshot: SnapshotLike) -> list[str]:
    """Lots that are no batch and went into several batches through one that is, sorted."""
    uses = snapshot.table("genealogy")[["batch_id", "material_lot"]].astype(object)
    batches = set(snapshot.table("batches")["batch_id"])
    into = uses.groupby("material_lot")["batch_id"].agg(set)
    intermediates = {i for i in into.index if i in batches and len(into[i]) > 1}
    return sorted(str(lot) for lot in into.index if lot not in batches and into[lot] & intermediates)


def taint(site: Site, snapshot: SnapshotLike, exports: Path, seed: int) -> dict[str, str]:
    """Writes into the exports a result out of specification of one lot and an open deviation on another one.

    Which file, line and column follows from the lineage of the rows and from the site's mapping. The laboratory's
    verdict stays as it is. An open deviation: one that is there, moved from its batch to the lot. Returns the lots by
    the kind of exception that ought to tell of them.
    """
    rng = random.Random(seed)
    lots = through_intermediates(snapshot)
    lab = snapshot.table("lab_results")
    within = lab[lab["approved_at"].notna() & (lab["upper_spec"].notna() | lab["lower_spec"].notna())]
    within = within[within["material_lot"].isin(lots) & (within["status"].astype(object) == "in_spec")]
    tested = rng.choice(sorted(set(within["material_lot"].astype(str))))
    row = within[within["material_lot"] == tested].iloc[0]
    source, columns = _mapped(site, exports, "lab_results", row)
    with Cells(exports, source, row) as cells:
        high, low = (source_number(source, cells[columns[c]]) for c in ("upper_spec", "lower_spec"))
        assert high is not None or low is not None
        value = abs(high) * 2 + 1 if high is not None else low - abs(low) / 2 - 0.001
        cells[columns["value"]] = f"{value:.3f}".replace(".", source.decimal)
    deviations = snapshot.table("deviations")
    moved = deviations[deviations["batch_id"].notna()].sort_values("opened_at").iloc[0]
    accused = rng.choice([lot for lot in lots if lot != tested])
    source, columns = _mapped(site, exports, "deviations", moved)
    with Cells(exports, source, moved) as cells:
        cells[columns["batch_id"]] = accused
        for empty in ("equipment_id", "step", "closed_at"):
            cells[columns[empty]] = ""
    return {OUT_OF_SPEC: tested, IN_DEVIATION: accused}


def _mapped(site: Site, exports: Path, table: str, row: pd.Series) -> tuple[Source, dict[str, str]]:
    """The source whose file a row came from, and the column of the export for each of the table's."""
    for item in site.tables[table]:
        source = site.sources[item.source]
        if row["source_file"] in {str(p.relative_to(exports)) for p in exports.glob(source.path)}:
            return source, {name: form.column for name, form in item.columns.items() if form.column}
    raise AssertionError(f"no source of {site.name} has {row['source_file']}")


def source_number(source: Source, text: str) -> float | None:
    """A number as a source writes it; None for an empty cell."""
    plain = text.replace(source.thousands, "") if source.thousands else text
    return float(plain.replace(source.decimal, ".")) if plain.strip() else None


class Cells:
    """The cells of the line of an export that a canonical row came from, by column; written back at the end."""

    def __init__(self, exports: Path, source: Source, row: pd.Series):
        self._path, self._source, self._at = exports / row["source_file"], source, int(row["source_line"]) - 1

    def __enter__(self) -> Cells:
        # bytes: the ends of the lines stay as they are
        self._lines = self._path.read_bytes().decode(self._source.encoding).splitlines(keepends=True)
        self._header, self._cells = (self._split(self._lines[at]) for at in (0, self._at))
        return self

    def __getitem__(self, column: str) -> str:
        return self._cells[self._header.index(column)]

    def __setitem__(self, column: str, text: str) -> None:
        self._cells[self._header.index(column)] = text

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            return
        line = self._lines[self._at]
        out = io.StringIO()
        end = line[len(line.rstrip("\r\n")) :]
        csv.writer(out, delimiter=self._source.delimiter, lineterminator=end).writerow(self._cells)
        self._lines[self._at] = out.getvalue()
        self._path.write_bytes("".join(self._lines).encode(self._source.encoding))

    def _split(self, line: str) -> list[str]:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=self._source.delimiter))
