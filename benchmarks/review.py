"""Review by exception held against the truth of the virtual plant (simulated): what was planted, in all its systems.

    python -m benchmarks.review [--seeds 7,8,9] [--site virtual_dublin] [--size tiny] [--json]

For each seed a plant is simulated and connected as any site is, and every batch, intermediates too, is reviewed at the
end of the data, without models. After the first 20 batches, of which nobody can know yet what is usual:

planted     recall of the exceptions that the truth lists, by kind and severity, and what was cleared of the entries
tainted     one lot that went through an intermediate gets a result out of specification, another an open deviation, in
            the exports: flagged batches against the recursion of SQL over the records, on all batches
dropped     the laboratory's feed missing whole, or dead from the middle of the data on: no batch (then: none that lacks
            a result for it) may come out clean, which means without any exception, nor without one of the laboratory
replay      at the time of an approval: the same review, to the last word, whatever that result and later ones say
seconds     a review, in one thread; told, no limit

Exit code 1: a limit is missed.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.figures import ROOT, Figure, seeded
from benchmarks.review_lots import flagged, made_of, taint
from benchmarks.review_truth import cleared, held
from features.asof import as_of
from plant.connect import connect
from plant.site import load_site
from plant.snapshot import SnapshotLike
from plant.virtual import simulate
from serving.review import Review, review
from serving.review_case import Known, Plant, open_case
from serving.review_rules import load_rules

CRITICAL, RECALL, CLEARED = 1.0, 0.95, 0.85
LEFT_ALONE, REPLAYED = 20, 8


class Changed:
    """A snapshot with some of its tables replaced; its end and its readings stay those of the plant."""

    def __init__(self, of: SnapshotLike, tables: Mapping[str, pd.DataFrame]):
        self._of, self._tables = of, tables

    def table(self, name: str) -> pd.DataFrame:
        return self._tables[name] if name in self._tables else self._of.table(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


def reviews(plant: Plant, snapshot: Any, batches: Iterable[str], t: pd.Timestamp | None = None) -> dict[str, Review]:
    """Reviews of some batches at a time, the end of the data without one."""
    known = Known(snapshot, t if t is not None else snapshot.data_end)
    return {b: review(open_case(plant, known, b)) for b in batches}


def in_order(snapshot: SnapshotLike) -> list[str]:
    """Batches in the order in which they were started."""
    batches = snapshot.table("batches").drop_duplicates("batch_id", keep="last")
    return [str(b) for b in batches.sort_values(["started_at", "batch_id"])["batch_id"]]


def measure(seed: int, site_name: str, size: str) -> dict[str, Any]:
    """One seed: simulated, connected, reviewed, compared with the truth."""
    site = load_site(ROOT / "sites" / site_name)
    plant = Plant.of(site, load_rules(site.folders))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"measuring: {site_name}, seed {seed} ...", file=sys.stderr)
        simulate(site.name, size, seed, folder / "simulated")
        exports = folder / "simulated/exports"
        snapshot = connect(site, exports, folder / "store").snapshot
        batches = in_order(snapshot)[LEFT_ALONE:]
        truth = pd.read_parquet(folder / "simulated/truth/exceptions.parquet").astype({"batch_id": str})
        made, seconds = timed(plant, snapshot, batches)
        lab, left = snapshot.table("lab_results"), until_the_middle(snapshot)
        result = {
            "seed": seed, "site": site.name, "size": size, "simulated": True, "batches": len(batches),
            "planted": planted(truth, made), "seconds": seconds,
            "dropped": {
                "whole": dropped(plant, snapshot, lab.iloc[:0], batches),
                "stopped": dropped(plant, snapshot, left, lacking(lab, left, batches)),
            },
            "replay": replay(plant, snapshot, batches, seed),
        }
        lots = taint(site, snapshot, exports, seed)
        after = connect(site, exports, folder / "tainted").snapshot
        every = reviews(plant, after, in_order(after))
    result["tainted"] = {how: spread(made_of(after.table("genealogy"), lot), flagged(every, how, lot)) | {"lot": lot}
                         for how, lot in lots.items()}  # fmt: skip
    return result


def timed(plant: Plant, snapshot: SnapshotLike, batches: list[str]) -> tuple[dict[str, Review], dict[str, float]]:
    """Reviews at the end of the data and what they took, the answer's JSON included; the first also opens the view."""
    known, made, took = Known(snapshot, snapshot.data_end), {}, []
    for batch_id in batches:
        begun = time.perf_counter()
        made[batch_id] = review(open_case(plant, known, batch_id))
        made[batch_id].as_dict()
        took.append(time.perf_counter() - begun)
    return made, {"median": float(np.median(took)), "worst": max(took)}


def planted(truth: pd.DataFrame, made: Mapping[str, Review]) -> dict[str, Any]:
    """Recall of what was planted, and what was cleared."""
    told, clean = held(truth, made), cleared(truth, made)
    return {
        "recall": told.recall(), "recall_critical": told.recall("critical"),
        "kinds": {name: {"planted": told.planted[name], "found": told.found[name], "as_severe": told.as_severe[name]}
                  for name in sorted(told.planted)},
        "unknowable": dict(told.unknowable), "missed": told.missed, "entries": clean.entries,
        "cleared": clean.cleared / clean.entries, "clean_cleared": clean.clean_cleared / clean.clean,
        "raised_beyond": dict(clean.raised),
        "exceptions_each": sum(len(one.exceptions) for one in made.values()) / len(made),
    }  # fmt: skip


def until_the_middle(snapshot: SnapshotLike) -> pd.DataFrame:
    """The laboratory's results as they were known in the middle of the data, where its feed stopped."""
    first = snapshot.table("batches")["started_at"].min()
    middle = first + (snapshot.data_end - first) / 2
    return as_of(snapshot, middle).table("lab_results")


def dropped(plant: Plant, snapshot: SnapshotLike, left: pd.DataFrame, batches: list[str]) -> dict[str, int]:
    """Reviews of some batches when only `left` came from the laboratory."""
    made = reviews(plant, Changed(snapshot, {"lab_results": left}), batches)
    lab = plant.system("lab_results")
    return {
        "batches": len(made),
        "clean": sum(not one.exceptions for one in made.values()),
        "nothing_critical_or_major": sum(not one.counts["critical"] + one.counts["major"] for one in made.values()),
        "nothing_of_the_laboratory": sum(all(e.system != lab for e in one.exceptions) for one in made.values()),
    }


def lacking(results: pd.DataFrame, left: pd.DataFrame, batches: list[str]) -> list[str]:
    """Batches with an approved result in `results` that is not approved in `left`."""
    approved = set(left.loc[left["approved_at"].notna(), "result_id"])
    gone = results[results["approved_at"].notna() & ~results["result_id"].isin(approved)]
    lost = set(gone["batch_id"].dropna().astype(str))
    return [b for b in batches if b in lost]


def replay(plant: Plant, snapshot: SnapshotLike, batches: list[str], seed: int) -> dict[str, Any]:
    """Reviews at the approval of one result of some batches, with and without other values from then on.

    differ: batches whose review at that time differs, which is none where nothing of the future is known; seen_later:
    how many reviews of those batches differ one microsecond later, when the changed result is known.
    """
    lab = snapshot.table("lab_results")
    # a corrected result is known in two versions; the plain ones are enough
    plain = lab[~lab["result_id"].duplicated(keep=False) & lab["approved_at"].notna() & lab["value"].notna()]
    plain = plain[plain["batch_id"].isin(set(batches)) & (plain["status"].astype(object) == "in_spec")]
    of = {str(b): rows["approved_at"].tolist() for b, rows in plain.groupby("batch_id")}
    rng = random.Random(seed)
    differ, seen = [], 0
    for batch_id in rng.sample(sorted(of), min(REPLAYED, len(of))):
        t = rng.choice(of[batch_id])
        other = Changed(snapshot, {"lab_results": otherwise(lab, t)})
        for at in (t, t + pd.Timedelta(1, "us")):
            one, two = (reviews(plant, s, [batch_id], at)[batch_id].as_dict() for s in (snapshot, other))
            if at == t and one != two:
                differ.append(batch_id)
            seen += at != t and one != two
    return {"batches": min(REPLAYED, len(of)), "differ": differ, "seen_later": int(seen)}


def otherwise(lab: pd.DataFrame, t: pd.Timestamp) -> pd.DataFrame:
    """The laboratory's results where all that was approved or recorded at `t` or later says the opposite."""
    late = (~(lab["approved_at"] < t) | (lab["recorded_at"].notna() & ~(lab["recorded_at"] < t))).to_numpy()
    out = lab.copy()
    out.loc[late, "value"] = out.loc[late, "value"] * 10 + 1
    was_out = lab["status"].astype(object) == "out_of_spec"
    out["status"] = lab["status"].astype(object).mask(late, was_out.map({True: "in_spec", False: "out_of_spec"}))
    return out


def spread(made: set[str], shown: set[str]) -> dict[str, Any]:
    """Batches made of a lot against those whose review tells of it."""
    return {"descendants": len(made), "missed": sorted(made - shown), "others": sorted(shown - made)}


def figures(result: dict[str, Any]) -> list[Figure]:
    """What has a limit, of one seed; and the time."""
    name, of, out = f"{result['site']} seed {result['seed']}", result["planted"], []
    for kind, one in of["kinds"].items():
        out.append(Figure(f"{name} {kind}: found of {one['planted']}", one["found"] / one["planted"], ""))
    out.append(Figure(f"{name} planted, but not in the records by then", sum(of["unknowable"].values()), ""))
    if of["recall_critical"] is not None:
        out.append(Figure(f"{name} critical ones found", of["recall_critical"], "", CRITICAL, at_least=True))
    out.append(Figure(f"{name} all found", of["recall"], "", RECALL, at_least=True))
    out.append(Figure(f"{name} entries cleared", of["cleared"], "", CLEARED, at_least=True))
    out.append(Figure(f"{name} clean entries cleared", of["clean_cleared"], "", CLEARED, at_least=True))
    for how, one in result["tainted"].items():
        said = f"{name} {how.replace('_', ' ')}, {one['descendants']} descendants"
        out.append(Figure(f"{said}: at least two", one["descendants"], "", 2, at_least=True))
        out.append(Figure(f"{said}: missed", len(one["missed"]), "", 1))
        out.append(Figure(f"{said}: others flagged", len(one["others"]), "", 1))
    for how, one in result["dropped"].items():
        said = f"{name} laboratory {how}, {one['batches']} batches"
        out.append(Figure(f"{said}: clean", one["clean"], "", 1))
        out.append(Figure(f"{said}: nothing of the laboratory", one["nothing_of_the_laboratory"], "", 1))
        out.append(Figure(f"{said}: nothing critical or major", one["nothing_critical_or_major"], ""))
    again = result["replay"]
    out.append(Figure(f"{name} replay: reviews that know the future", len(again["differ"]), "", 1))
    seen, said = again["seen_later"], f"{name} replay: changed results seen a moment later"
    out.append(Figure(said, seen / max(again["batches"], 1), "", 1.0, at_least=True))
    out += [Figure(f"{name} a review: {which}", result["seconds"][which], "s") for which in ("median", "worst")]
    return out


if __name__ == "__main__":
    seeded(measure, figures, __doc__, size="tiny")
