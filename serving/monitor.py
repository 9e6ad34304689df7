"""Drift: do today's inputs and scores still look like those the model learnt from?

A span as long as the recent window is slid over the training window. How far each span lies from the rest shows
how much the plant moves while all is well; a column has drifted only when it moved clearly further than that.
Runs apart from the request path: Evidently takes seconds to import.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from scipy.stats import wasserstein_distance

from features.assemble import Matrix, batch_matrix, equipment_matrix
from features.labels import cutoff_grid, gate_times
from governance import versions
from governance.database import connect, monitoring, reading
from models.spec import FailureSpec, QualitySpec
from plant.errors import NotReady, SteadylineError
from plant.home import reports_folder
from plant.site import Site
from plant.snapshot import SnapshotLike
from serving.data import SiteData
from serving.rows import Served
from serving.scoring import CHAMPION, Scorer

MOST_COLUMNS, SPANS, MOST_ROWS = 30, 12, 6000
# Few spans fit into a short history, and the farthest of few is soon passed by chance
MARGIN = 2.0
# Below a tenth of a standard deviation a shift is of no use to anyone (Evidently's own default for this distance)
LEAST_DISTANCE = 0.1
DRIFT_SHARE = 0.5
SCORE = "score"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Windows:
    """Rows of the training window, the spans of it that are compared with its rest, and rows of the recent window.

    spans: (s, n) masks over the rows of `reference`.
    """

    reference: Matrix
    spans: np.ndarray
    recent: Matrix
    text: str


def monitor(
    home: Path, site: Site, model: str, recent: str | pd.Timedelta, progress: Progress = lambda _: None,
    version: str = CHAMPION,
) -> dict[str, Any]:
    """Compare the inputs and scores of the last `recent` of the data with the training window; store the result.

    recent: a length of time such as "30d"; the window never reaches back into the training period.
    Returns {site, model, version, drifted, share, columns, report_path, window}; `columns` is a list of
    {column, meaning, distance, usual, drifted, note}, the most moved first. An HTML report of Evidently lies at
    `report_path`. Raises NotReady when there is no champion, no data or too few rows to compare, and
    SteadylineError (`bad_duration`).
    """
    length = _length(recent)
    engine = connect(home)
    scorer = Scorer(engine, SiteData(home, site), model, version)
    served, data = scorer.served(), scorer.data.current()
    progress(f"features of the training window and of the last {recent}")
    windows = _windows(served, data.snapshot, length)
    columns = _most_important(served, windows)
    reference, current = _frame(served, windows.reference, columns), _frame(served, windows.recent, columns)
    usual = _usual(reference, windows.spans)
    report = reports_folder(home) / f"drift-{site.name}-{model}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.html"
    progress(f"drift of {len(reference.columns)} columns")
    distances = _evidently(reference, current, usual, report)
    rows = _judge(reference, current, distances, usual, {f.name: f.meaning for f in served.predictor.features})
    share = float(np.mean([r["drifted"] for r in rows])) if rows else 0.0
    drifted = share >= DRIFT_SHARE or any(r["drifted"] for r in rows if str(r["column"]).startswith(SCORE))
    result = {
        "site": site.name, "model": model, "version": served.version.version, "data_version": data.version,
        "drifted": bool(drifted), "share": share, "columns": rows, "report_path": str(report), "window": windows.text,
    }
    with engine.begin() as connection:
        connection.execute(sa.insert(monitoring).values(
            site=site.name, model=model, version=served.version.version, at=datetime.now(UTC), window=windows.text,
            drifted=bool(drifted), share=share, payload={"columns": rows, "data_version": data.version},
            report_path=str(report),
        ))
    engine.dispose()
    return result


def monitor_site(
    home: Path, site: Site, model: str | None, recent: str | pd.Timedelta, progress: Progress = lambda _: None
) -> list[dict[str, Any]]:
    """`monitor` of one model, or of every model of the site that has a champion. Raises NotReady when none has."""
    names = [model] if model else []
    if not names:
        engine = connect(home)
        with reading(engine) as connection:
            names = sorted(v.model for v in versions.champions(connection, site.name))
        engine.dispose()
    if not names:
        raise NotReady(
            "no_champion", f"no model of site '{site.name}' has a champion to watch", "a model that was promoted",
            "steadyline promote MODEL VERSION --as USER",
        )
    return [monitor(home, site, name, recent, progress) for name in names]


def _length(recent: str | pd.Timedelta) -> pd.Timedelta:
    try:
        bare = isinstance(recent, str) and recent.strip().isdigit()  # pandas would take it as nanoseconds
        length = pd.Timedelta(0) if bare else pd.Timedelta(recent)
    except ValueError:
        length = pd.Timedelta(0)
    if not length > pd.Timedelta(0):
        raise SteadylineError("bad_duration", f"'{recent}' is no length of time", "such as 30d, 72h", "--recent 30d")
    return length


def _windows(served: Served, snapshot: SnapshotLike, recent: pd.Timedelta) -> Windows:
    about = served.predictor.data
    train = (pd.Timestamp(about["train_start"]), pd.Timestamp(about["train_end"]))
    end = snapshot.data_end
    since = max(end - recent, train[1])
    length = min(end - since, (train[1] - train[0]) / 2)
    spec = served.predictor.spec
    if isinstance(spec, FailureSpec):
        old, new = _equipment_rows(snapshot, spec, train, (since, end))
        make = equipment_matrix
    else:
        old, new = _batch_rows(snapshot, spec, train, (since, end))
        make = batch_matrix
    if len(old) < 20 or len(new) < 5:
        raise NotReady(
            "too_few_rows", f"{len(new)} recent rows and {len(old)} of the training window can be compared",
            "at least 5 and 20", "choose a longer recent window (--recent), or connect newer data",
        )
    t = pd.DatetimeIndex(old["t"])
    starts = [train[0] + (train[1] - length - train[0]) * (i / (SPANS - 1)) for i in range(SPANS)]
    spans = np.array([(t >= s) & (t < s + length) for s in starts])
    plan, text = served.predictor.plan, f"{since.isoformat()}/{end.isoformat()}"
    return Windows(make(snapshot, plan, old), spans, make(snapshot, plan, new), text)


def _equipment_rows(
    snapshot: SnapshotLike, spec: FailureSpec, train: tuple[pd.Timestamp, pd.Timestamp],
    recent: tuple[pd.Timestamp, pd.Timestamp],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    chosen = _covered(snapshot.table("equipment"), ("equipment_id", "equipment_class", "area", "line"), spec)
    every = spec.cutoffs.every.delta
    grids = []
    for start, end, most in ((*train, MOST_ROWS), (*recent, MOST_ROWS // 4)):
        wanted = max(1, most // max(len(chosen), 1))
        step = max(every, every * int(np.ceil((end - start) / every / wanted)))
        grids.append(cutoff_grid(snapshot, step, start, end, chosen, spec.cutoffs.shift))
    return grids[0], grids[1]


def _batch_rows(
    snapshot: SnapshotLike, spec: QualitySpec, train: tuple[pd.Timestamp, pd.Timestamp],
    recent: tuple[pd.Timestamp, pd.Timestamp],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every batch once, at the model's last gate."""
    gates = gate_times(snapshot, [spec.gates[-1]])
    covered = _covered(snapshot.table("batches"), ("batch_id", "product"), spec)
    gates = gates[gates["batch_id"].astype(str).isin(covered)]
    old = gates[(gates["t"] >= train[0]) & (gates["t"] < train[1])].tail(MOST_ROWS)
    return old.reset_index(drop=True), gates[gates["t"] >= recent[0]].reset_index(drop=True)


def _covered(table: pd.DataFrame, columns: tuple[str, ...], spec: FailureSpec | QualitySpec) -> list[str]:
    """Names (the first column) of those that the model is for, by the other columns."""
    rows = zip(*(table[c].astype(str) for c in columns), strict=True)
    return sorted({name for name, *about in rows if spec.population.covers(*about)})


def _most_important(served: Served, windows: Windows) -> list[int]:
    gain = served.predictor.importance()
    order = np.argsort(-gain, kind="stable")
    return [int(i) for i in order[:MOST_COLUMNS] if gain[i] > 0]


def _frame(served: Served, matrix: Matrix, columns: list[int]) -> pd.DataFrame:
    frame = pd.DataFrame({matrix.features[i].name: matrix.values[:, i] for i in columns})
    gates = matrix.rows["gate"].astype(str).tolist() if "gate" in matrix.rows else []
    for name, values in served.predictor.headline(matrix.values, gates).items():
        frame[f"{SCORE}: {name}"] = values
    return frame


def _distance(reference: np.ndarray, current: np.ndarray) -> float:
    """Wasserstein distance in standard deviations of the reference, as Evidently reckons it; NaN without values."""
    a, b = reference[np.isfinite(reference)], current[np.isfinite(current)]
    if not len(a) or not len(b):
        return float("nan")
    return float(wasserstein_distance(a, b) / max(float(np.std(a)), 0.001))


def _usual(reference: pd.DataFrame, spans: np.ndarray) -> dict[str, float]:
    """Per column: how far the spans of the training window lie from the rest of it, the farthest with a margin."""
    out = {}
    for name in reference:
        values = reference[name].to_numpy()
        found = [_distance(values[~span], values[span]) for span in spans]
        known = [d for d in found if np.isfinite(d)]
        out[str(name)] = max([LEAST_DISTANCE, *(MARGIN * d for d in known)])
    return out


def _comparable(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Columns with something to compare; those that vary by rounding alone have no histogram."""
    return [str(n) for n in reference if _varies(reference[n]) and current[n].notna().any()]


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Nine digits of each column: noise of the last bits is no distribution, and cannot be drawn as one."""
    size = 10.0 ** np.floor(np.log10(frame.abs().max().replace(0.0, 1.0)))
    return (frame / size).round(9) * size


def _varies(values: pd.Series) -> bool:
    low, high = values.min(), values.max()
    return bool(high - low > 1e-9 * max(abs(low), abs(high)))


def _evidently(
    reference: pd.DataFrame, current: pd.DataFrame, usual: dict[str, float], path: Path
) -> dict[str, float]:
    """Distance of each column by Evidently, whose report is written to `path`."""
    names = _comparable(reference, current)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # correlations of constant columns, deprecations of its own parts
        from evidently import DataDefinition, Dataset, Report  # eight seconds: only where it is used
        from evidently.presets import DataDriftPreset

        definition = DataDefinition(numerical_columns=names)
        preset = DataDriftPreset(
            columns=names, drift_share=DRIFT_SHARE, num_method="wasserstein",
            per_column_threshold={n: usual[n] for n in names},
        )
        snapshot = Report([preset]).run(
            Dataset.from_pandas(_rounded(current[names]), definition),
            Dataset.from_pandas(_rounded(reference[names]), definition),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        snapshot.save_html(str(path))
        found = snapshot.dict()["metrics"]
    return {
        str(m["config"]["column"]): float(m["value"]) for m in found if "column" in m.get("config", {})
    }


def _judge(
    reference: pd.DataFrame, current: pd.DataFrame, distances: dict[str, float], usual: dict[str, float],
    meaning: dict[str, str],
) -> list[dict[str, Any]]:
    rows = []
    for column in reference:
        name = str(column)
        distance, note, drifted = distances.get(name), "", False
        if reference[name].notna().any() and not current[name].notna().any():
            note, drifted = "no value any more", True
        elif distance is None and reference[name].notna().any():
            drifted = bool((current[name].dropna() != reference[name].dropna().iloc[0]).any())
            note = "was always the same, now differs" if drifted else "always the same"
        elif distance is None:
            note = "was never known in training"
        else:
            drifted = distance > usual[name]
        rows.append({
            "column": name, "meaning": meaning.get(name, name), "distance": distance, "usual": usual[name],
            "drifted": drifted, "note": note,
        })
    return sorted(rows, key=lambda r: (not r["drifted"], -(r["distance"] or 0.0) / float(r["usual"])))
