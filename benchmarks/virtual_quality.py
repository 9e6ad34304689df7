"""The quality model held against the truth of the virtual plant (simulated): the best score that there is.

    python -m benchmarks.virtual_quality [--seeds 7,8,9] [--site virtual_dublin] [--size demo] [--json]

For each seed a plant is simulated, connected and trained on as any site is, with a gate before the start and one after
each step that (nearly) all batches of the model go through. At each gate the P(out of specification) of
the tested results, all attributes together, is compared with the results and with the true probabilities, which only
the simulation knows. Calibration: expected calibration error over ten bins of equal mass, against the results.
`auc`: against the results; `auc_expected`: what it is on average over the results that could have come, each row being
out of specification with its true probability, so that the luck of some fifty events drops out; `skill`:
(auc_expected - 0.5) / (that of the true probability - 0.5). Exit code 1: a limit is missed.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.figures import ROOT, Figure, seeded
from features.labels import AFTER, BEFORE_START, quality_targets
from models import metrics
from models.spec import QualitySpec, load_models
from plant.connect import connect
from plant.site import load_site
from plant.snapshot import SnapshotLike
from plant.virtual import simulate
from training.quality import QualityTraining, train_quality

SKILL, CALIBRATION, SAME = 0.8, 0.03, 0.005


def expected_auc(score: np.ndarray, probability: np.ndarray) -> float | None:
    """AUC of a score where each row is positive with its probability and negative with the rest of it."""
    return metrics.auc(np.tile(score, 2), np.repeat([1.0, 0.0], len(score)),
                       np.concatenate([probability, 1.0 - probability]))


def measure(seed: int, site_name: str, size: str) -> dict[str, Any]:
    """One seed: simulated, connected, trained, compared with the truth."""
    site = load_site(ROOT / "sites" / site_name)
    spec = next(s for s in load_models(site.folder).values() if isinstance(s, QualitySpec))
    with tempfile.TemporaryDirectory() as scratch:
        folder, begun = Path(scratch), time.perf_counter()
        print(f"measuring: {site_name}, seed {seed} ...", file=sys.stderr)
        simulate(site.name, size, seed, folder / "simulated")
        snapshot = connect(site, folder / "simulated/exports", folder / "store").snapshot
        ready = time.perf_counter()
        spec = spec.model_copy(update={"gates": every_gate(snapshot, spec)})
        trained = train_quality(snapshot, spec)
        rows = tested(trained, quality_targets(snapshot, trained.attributes), folder / "simulated/truth")
    return compare(rows, spec.gates) | {
        "seed": seed, "site": site.name, "size": size, "simulated": True,
        "verdicts": {a: j["verdict"] for a, j in trained.evidence["attributes"].items()},
        "seconds": {"connect": round(ready - begun, 1), "train": round(time.perf_counter() - ready, 1)},
    }


def every_gate(snapshot: SnapshotLike, spec: QualitySpec) -> tuple[str, ...]:
    """The gate before the start, then those after the steps that nine of ten batches of the model have, in order."""
    steps = snapshot.table("batch_steps").drop_duplicates(["batch_id", "step"], keep="last")
    batches = snapshot.table("batches").drop_duplicates("batch_id", keep="last")
    own = batches.loc[[spec.population.covers(str(p)) for p in batches["product"]], "batch_id"]
    steps = steps[steps["batch_id"].isin(own)]
    started = steps["started_at"] - steps.groupby("batch_id")["started_at"].transform("min")
    order = started.groupby(steps["step"].astype(str)).median().sort_values().index
    common = steps["step"].astype(str).value_counts() >= 0.9 * steps["batch_id"].nunique()
    return (BEFORE_START, *(f"{AFTER}{s}" for s in order if common[s]))


def tested(trained: QualityTraining, targets: pd.DataFrame, truth: Path) -> pd.DataFrame:
    """batch_id, attribute, gate, p, event, p_true of every tested result with a specification."""
    true = pd.read_parquet(truth / "quality.parquet").astype({"batch_id": str, "attribute": str})
    true = true.set_index(["batch_id", "attribute"])["p_out_of_spec"]
    of = targets.set_index(["batch_id", "attribute"])
    parts = []
    for (attribute, gate), fits in trained.fits.items():
        for fit in fits:
            batches = trained.gates[gate]["batch_id"].iloc[fit.rows].astype(str)
            keys = pd.MultiIndex.from_product([batches, [attribute]])
            low, high, y = (of[c].reindex(keys).to_numpy(np.float64) for c in ("lower_spec", "upper_spec", "value"))
            parts.append(pd.DataFrame({
                "batch_id": batches.to_numpy(), "attribute": attribute, "gate": gate,
                "p": fit.distribution.prob_outside(low, high), "event": ((y < low) | (y > high)).astype(float),
                "p_true": true.reindex(keys).to_numpy(np.float64),
            }))
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["p"].notna() & rows["p_true"].notna()]


def compare(rows: pd.DataFrame, gates: tuple[str, ...]) -> dict[str, Any]:
    """Figures of each gate, all attributes together and each for itself; on the batches that passed every gate."""
    passed = rows.groupby(["batch_id", "attribute"])["gate"].transform("nunique") == len(gates)
    out: dict[str, Any] = {}
    for gate in gates:
        of = rows[passed & (rows["gate"] == gate)]
        out[gate] = _judged(of) | {"attributes": {str(a): _judged(part) for a, part in of.groupby("attribute")}}
    return {"gates": out}


def _judged(of: pd.DataFrame) -> dict[str, Any]:
    p, event, true = (of[c].to_numpy(np.float64) for c in ("p", "event", "p_true"))
    mine, best = expected_auc(p, true), expected_auc(true, true)
    return {
        "n": len(of), "out_of_spec": int(event.sum()), "auc": metrics.auc(p, event), "auc_expected": mine,
        "auc_true": best, "skill": None if not mine or not best else (mine - 0.5) / (best - 0.5),
        "calibration_error": metrics.ece(p, event), "mean_p": float(p.mean()), "mean_true": float(true.mean()),
    }


def figures(result: dict[str, Any]) -> list[Figure]:
    """What has a limit, of one seed."""
    name, gates, out = f"{result['site']} seed {result['seed']}", result["gates"], []
    for gate, one in gates.items():
        out.append(Figure(f"{name} {gate}: calibration error", one["calibration_error"], "", CALIBRATION))
        out.append(Figure(f"{name} {gate}: AUC on average", one["auc_expected"], ""))
    first, *later = gates
    for before, after in itertools.pairwise(later):
        gain = gates[after]["auc_expected"] - gates[before]["auc_expected"]
        out.append(Figure(f"{name} {after}: AUC gained since {before}", gain, "", -SAME, at_least=True))
    for gate in later:
        gain = gates[gate]["auc_expected"] - gates[first]["auc_expected"]
        out.append(Figure(f"{name} {gate}: AUC gained since {first}", gain, "", 0.0, at_least=True))
    out.append(Figure(f"{name} {later[-1]}: skill", gates[later[-1]]["skill"], "", SKILL, at_least=True))
    return out


if __name__ == "__main__":
    seeded(measure, figures, __doc__)
