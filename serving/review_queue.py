"""Batches that wait for a person's disposition: which of them a reviewer opens first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from serving.review_case import Known
from serving.review_kinds import SEVERITIES

SINCE = pd.Timedelta(days=60)
MOST, MOST_REVIEWED = 25, 200


def waiting(known: Known) -> pd.DataFrame:
    """batch_id, product, line, started_at, ended_at of the batches without a disposition, the newest first.

    A product of which no batch was ever released or rejected (an intermediate) waits for none, unless the plant records
    none at all. ended_at is NaT while a batch runs.
    """
    batches, decided = known.table("batches"), known.table("dispositions")
    decided = set(decided.loc[decided["disposed_at"].notna(), "batch_id"].astype(str))
    names, products = batches["batch_id"].astype(str), batches["product"].astype(str)
    gets_one = set(products[names.isin(decided)])
    open_ = batches["started_at"].notna() & ~names.isin(decided) & (products.isin(gets_one) | (not gets_one))
    rows = batches.loc[open_, ["batch_id", "product", "line", "started_at", "ended_at"]]
    newest = rows["ended_at"].fillna(known.t).rename("until")
    return rows.assign(until=newest).sort_values(["until", "batch_id"], ascending=[False, True], kind="stable")


def queue(known: Known, most: int, review: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Reviews of the waiting batches of the last sixty days, in short: the `most` with the gravest exceptions first.

    review: gives the review of a batch. waiting: how many wait; older: of those the ones that ended before; not_shown:
    the others beyond `most`. Of more than two hundred only the newest are reviewed.
    """
    rows = waiting(known)
    recent = rows[rows["until"] >= known.t - SINCE]
    shown = [_short(review(str(b))) for b in recent["batch_id"].head(MOST_REVIEWED)]
    shown.sort(key=lambda b: (*(-b["counts"][s] for s in SEVERITIES), b["ended_at"] or "~", b["batch_id"]))
    shown = shown[:most]
    return {"waiting": len(rows), "older": len(rows) - len(recent), "not_shown": len(recent) - len(shown),
            "batches": shown}


def _short(answer: dict[str, Any]) -> dict[str, Any]:
    """A review in one line: what it found first, and how much is left to look at."""
    names = ("batch_id", "product", "started_at", "ended_at", "counts")
    return {name: answer[name] for name in names} | {"first": next(_heads(answer["exceptions"]), None)}


def _heads(exceptions: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Exceptions that still want a look before those that were looked at; of each what one line tells."""
    for e in sorted(exceptions, key=lambda e: e["review"] is not None and e["review"]["state"] == "holds"):
        yield {k: e[k] for k in ("exception_id", "severity", "system", "kind", "text")}
