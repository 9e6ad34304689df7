"""The virtual plant: a seeded simulation of two oral-solid-dose sites that disagree on everything.

    simulate("virtual_dublin", "demo", 1, Path("exports"))

writes source-shaped exports to `out/exports/` and, apart from them, the truth to `out/truth/`. Everything is
simulated; docs/virtual-plant.md has the equations and what is left out. The parts:

virtual_machines    machines, mechanisms, signals        virtual_catalogue sizes, sites, materials
virtual_utilities   air handling, purified water, compressed air, and what they disturb
virtual_plant       the running of the plant hour by hour: wear, failures, repairs, batches on machines
virtual_supply      the running of the utilities, and what reaches rooms and machines of it
virtual_signals     readings, alarms, minor stops        virtual_batches   lots, step values, drivers
virtual_intermediates  what the plant makes for itself   virtual_quality   results, deviations, dispositions
virtual_orders, virtual_texts  work orders as typed, downtime, parts
virtual_entries     missing and corrected entries        virtual_history   all of it as canonical tables
virtual_truth, virtual_lives, virtual_gates, virtual_exceptions   what no plant knows
virtual_dublin, virtual_graz   the two dialects (virtual_export, virtual_names: what they share)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from plant import virtual_dublin, virtual_graz
from plant.errors import UnknownId, did_you_mean, listing
from plant.virtual_catalogue import INTERMEDIATES, SITES
from plant.virtual_history import History, facts_of, make_history

DIALECTS: dict[str, Callable[[dict[str, pd.DataFrame], Path], None]] = {
    "dublin": virtual_dublin.write,
    "graz": virtual_graz.write,
}
CROSSWALKS: dict[str, Callable[[], dict[str, pd.DataFrame]]] = {
    "dublin": virtual_dublin.crosswalks,
    "graz": virtual_graz.crosswalks,
}

__all__ = [
    "CROSSWALKS",
    "DIALECTS",
    "SITES",
    "History",
    "SimulationSummary",
    "make_history",
    "simulate",
    "write_crosswalks",
    "write_exports",
    "write_truth",
]


@dataclass(frozen=True)
class SimulationSummary:
    """What was simulated. rows: canonical rows per table; out_of_spec_share: of valid batch results.

    start, end: the simulated time, ISO 8601 in UTC. Always simulated, and says so.
    """

    site: str
    size: str
    seed: int
    dialect: str
    start: str
    end: str
    exports: str
    truth: str
    rows: dict[str, int]
    failures: int
    failures_by_class: dict[str, int]
    batches: int
    out_of_spec_share: float
    files: int
    megabytes: float
    simulated: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def simulate(
    site: str,
    size: str,
    seed: int,
    out: Path,
    progress: Callable[[str], None] | None = None,
    dialect: str | None = None,
    history: History | None = None,
    preventive_every_h: int | None = None,
) -> SimulationSummary:
    """Simulates `site` (virtual_dublin, virtual_graz) and writes `out/exports/` and `out/truth/`.

    size: tiny, demo or large. The same site, size and seed write the same bytes. progress: called with a
    line of text before each part. dialect: "dublin" or "graz", default that of the site; history: exports this
    one instead of a new one (the same physical history in the other dialect). preventive_every_h: hours between
    preventive orders, instead of the size's own. Files of an earlier run with the same names are overwritten.
    Raises UnknownId for an unknown site, size or dialect, ValueError for an interval below 48 hours.
    """
    say = progress or (lambda line: None)
    facts, facts_size = facts_of(site, size)
    if history is None:
        equipment = f"{sum(facts_size.units)} machines, {sum(facts_size.utilities)} utilities"
        say(f"simulating {site}, {facts_size.days} days, {equipment}")
        history = make_history(site, size, seed, preventive_every_h)
    dialect = dialect or facts.dialect
    say(f"writing exports in the shape of {dialect}")
    write_exports(history, dialect, out / "exports")
    say("writing the truth, apart")
    write_truth(history, out / "truth")
    return summary(history, dialect, out)


def write_exports(history: History, dialect: str, out: Path) -> None:
    """`history` as the exports of a site of that dialect, below `out`. Raises UnknownId for an unknown dialect."""
    if dialect not in DIALECTS:
        raise UnknownId(
            "unknown_dialect", f"no dialect '{dialect}'{did_you_mean(dialect, DIALECTS)}", listing(DIALECTS)
        )
    DIALECTS[dialect](history.tables, Path(out))


def write_truth(history: History, out: Path) -> None:
    """One Parquet file for each table of the truth below `out`; only tests and benchmarks may read them."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in history.truth.items():
        table = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table, out / f"{name}.parquet", compression="zstd")


def summary(history: History, dialect: str, out: Path) -> SimulationSummary:
    """Counts of a written simulation; batches without the intermediates."""
    lab, failures = history.tables["lab_results"], history.truth["failures"]
    of_batches = lab["batch_id"].notna() & lab["material_lot"].isna()
    valid = lab[of_batches & lab["value"].notna() & (lab["status"] != "invalidated")]
    files = sorted(p for folder in ("exports", "truth") for p in (Path(out) / folder).rglob("*") if p.is_file())
    return SimulationSummary(
        history.site,
        history.size,
        history.seed,
        dialect,
        history.start.isoformat(),
        history.end.isoformat(),
        str(Path(out) / "exports"),
        str(Path(out) / "truth"),
        {name: len(frame) for name, frame in history.tables.items()},
        len(failures),
        {str(k): int(v) for k, v in failures["equipment_class"].value_counts().sort_index().items()},
        int((~history.tables["batches"]["product"].isin([i.product for i in INTERMEDIATES])).sum()),
        round(float((valid["status"] == "out_of_spec").mean()), 4),
        len(files),
        round(sum(p.stat().st_size for p in files) / 1e6, 1),
    )


def write_crosswalks(dialect: str, folder: Path) -> None:
    """The crosswalk files of a site folder, from the names that the exports use."""
    for name, frame in CROSSWALKS[dialect]().items():
        folder.mkdir(parents=True, exist_ok=True)
        frame.to_csv(folder / name, index=False, lineterminator="\n")
