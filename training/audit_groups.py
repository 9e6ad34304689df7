"""The split and the end of the data: groups on both sides, labels that look too far, features that are gone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.catalogue import Feature
from plant.errors import SteadylineError
from training.audit_finding import BLOCKS, WARNS, Finding

KNOWN = 0.5  # share of training rows in which a feature has to be known, for its absence at the end to count
_NEWEST, _NEWEST_SHARE = pd.Timedelta(days=14), 0.05
_FEWEST_NEW = 10
_AS_IT_COMES = frozenset({"lab_results", "genealogy"})


def embargo(times: pd.DatetimeIndex, labels: pd.DataFrame, origin: pd.Timestamp) -> list[Finding]:
    """Blocks where a label to learn from ends after the fold begins.

    times (n,): cut-offs of the training rows; labels (n): duration_h of the labels as they are learnt from.
    """
    ends = times + pd.to_timedelta(labels["duration_h"].to_numpy(), unit="h")
    late = np.asarray(ends > origin + pd.Timedelta(seconds=1)) | np.asarray(times >= origin)
    if not late.any():
        return []
    return [Finding("embargo", "", float(late.mean()), 0.0,
                    f"{int(late.sum()):,} training labels look beyond {origin:%Y-%m-%d %H:%M}, where the test begins")]


def require_embargo(times: pd.DatetimeIndex, labels: pd.DataFrame, origin: pd.Timestamp) -> None:
    """Raises SteadylineError (leakage) where a label to learn from ends after the fold begins."""
    wrong = embargo(times, labels, origin)
    if wrong:
        raise SteadylineError("leakage", wrong[0].reason, "labels known before the test begins", wrong[0].next)


def same_groups(train: pd.Series, test: pd.Series, what: str) -> list[Finding]:
    """Blocks where the same batch (or other subject) stands on both sides of the split."""
    both = sorted(set(train.astype(str)) & set(test.astype(str)))
    if not both:
        return []
    return [Finding("overlap", "", len(both) / max(1, test.nunique()), 0.0,
                    f"{len(both)} of {test.nunique()} tested {what} were learnt from too, {both[0]} among them")]


def shared_lots(genealogy: pd.DataFrame, train: pd.Series, test: pd.Series) -> list[Finding]:
    """Warns of material lots on both sides: a split by time cannot avoid them, but the test is then milder."""
    lots = genealogy[["batch_id", "material_lot"]].drop_duplicates()
    learnt = set(lots.loc[lots["batch_id"].isin(set(train)), "material_lot"])
    tested = lots[lots["batch_id"].isin(set(test))]
    shared = tested[tested["material_lot"].isin(learnt)]
    if not len(tested) or not len(shared):
        return []
    share = shared["batch_id"].nunique() / tested["batch_id"].nunique()
    return [Finding("lots", "", share, 0.0, f"{100 * share:.0f} % of the tested batches hold a lot that training "
                    "batches hold too; a split by time cannot avoid it", WARNS)]


def twins(values: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> list[Finding]:
    """Warns of rows that are equal in every feature and in the label on both sides of the split.

    values (n, p), labels (n,); train, test: row numbers. Rows with fewer than five different numbers do not count:
    a machine without any history looks like another.
    """
    telling = np.array([len(np.unique(r[np.isfinite(r)])) >= 5 for r in values[test]], dtype=bool)
    if not telling.any():
        return []
    rows = np.column_stack([values, labels])
    known = {r.tobytes() for r in np.ascontiguousarray(rows[train])}
    same = sum(r.tobytes() in known for r in np.ascontiguousarray(rows[test[telling]]))
    share = same / int(telling.sum())
    if not same:
        return []
    return [Finding("twins", "", share, 0.0, f"{same} tested rows ({100 * share:.1f} %) equal a training row in every "
                    "feature and in the label: is the same loaded under two names?", WARNS)]


def gone_features(
    values: np.ndarray, features: Sequence[Feature], subjects: np.ndarray, times: pd.DatetimeIndex, before: np.ndarray
) -> list[Finding]:
    """Features known in most training rows and in none of the newest rows.

    before: rows to learn from. Blocks where other features of the same source are still known: the model would lean on
    what it will not get. Warns, once a source, where the whole source has ended.
    """
    end = times.max()
    span = max(_NEWEST, (end - times.min()) * _NEWEST_SHARE)
    newest = np.asarray(times > end - span)
    if before.sum() < _FEWEST_NEW or newest.sum() < _FEWEST_NEW or len(np.unique(times[newest])) < 3:
        return []
    out: list[Finding] = []
    stale: dict[str, list[tuple[str, float]]] = {}
    there = np.isfinite(values)
    # A feature of one class of machines is judged on the machines that have it.
    _, group = np.unique(subjects, return_inverse=True)
    batch = group.max(initial=0) + 1 == len(group)
    group = np.zeros_like(group) if batch else group
    alive = {f.source for j, f in enumerate(features) if there[newest, j].any()}
    for j, feature in enumerate(features):
        if there[newest, j].any() or feature.source == "calendar":
            continue
        known = there[:, j] & before
        has = np.isin(group, np.unique(group[known]))
        share = float(known.sum() / max(1, (before & has).sum()))
        if share < KNOWN or (newest & has).sum() < _FEWEST_NEW:
            continue
        if feature.source not in alive:
            stale.setdefault(feature.source, []).append((feature.name, share))
            continue
        # What a lot or a laboratory told before is not there for every new lot: that is how such features are.
        verdict = WARNS if feature.source in _AS_IT_COMES else BLOCKS
        out.append(Finding("serving", feature.name, share, KNOWN,
                           f"known in {100 * share:.0f} % of the training rows and in none of the newest "
                           f"{int((newest & has).sum())} rows (since {end - span:%Y-%m-%d}), while others of "
                           f"{feature.source} still come: a model would lean on what it will not get", verdict))
    for source, names in sorted(stale.items()):
        out.append(Finding("source", "", max(s for _, s in names), KNOWN,
                           f"no feature of {source} is known since {end - span:%Y-%m-%d}: {len(names)} features, "
                           f"{names[0][0]} among them, tell nothing of today", WARNS))
    return out
