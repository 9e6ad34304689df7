"""What reviewers said of exceptions: agreed or overridden, by whom, when, why. Only ever appended.

A review stands for the evidence that was shown: its hash is kept, so that a later change of the evidence shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from governance import audit
from governance.database import exception_reviews
from governance.errors import Refused

DECISIONS = ("agree", "override")
_AGREED = "agrees with the exception as it was found"


@dataclass(frozen=True)
class ExceptionReview:
    """One review of one exception. exception: as it was shown; as_of: what was known then, strictly before."""

    review_id: int
    site: str
    batch_id: str
    exception_id: str
    evidence_hash: str
    decision: str
    reviewer: str
    reason: str
    reviewed_at: datetime
    as_of: datetime
    data_version: str
    exception: dict[str, Any]


def record(
    connection: Connection,
    site: str,
    batch_id: str,
    exception: Mapping[str, Any],
    decision: str,
    reviewer: str,
    reason: str,
    as_of: datetime,
    data_version: str,
) -> ExceptionReview:
    """Append a review, and a row of the audit trail, in the caller's transaction.

    exception: JSON form with `exception_id` and `evidence_hash`. Raises Refused: `unknown_decision`, or
    `incomplete_record` without a reviewer, or without a reason where the exception is overridden.
    """
    if decision not in DECISIONS:
        raise Refused("bad_decision", f"'{decision}' is no decision", " or ".join(DECISIONS), "choose one of them")
    audit.require_words(reviewer=reviewer, **({"reason": reason} if decision == "override" else {}))
    reviewer, reason = reviewer.strip(), (reason or "").strip()
    audit.one_at_a_time(connection)
    exception_id, evidence = str(exception["exception_id"]), str(exception["evidence_hash"])
    before = latest(connection, site, batch_id).get(exception_id)
    values: dict[str, Any] = {
        "site": site,
        "batch_id": batch_id,
        "exception_id": exception_id,
        "evidence_hash": evidence,
        "decision": decision,
        "reviewer": reviewer,
        "reason": reason,
        "reviewed_at": datetime.now(UTC),
        "as_of": as_of,
        "data_version": data_version,
        "exception": dict(exception),
    }
    made = connection.execute(sa.insert(exception_reviews).values(**values)).inserted_primary_key
    old = None if before is None else {"decision": before.decision, "evidence_hash": before.evidence_hash}
    new = {
        "decision": decision,
        "evidence_hash": evidence,
        "kind": exception.get("kind"),
        "severity": exception.get("severity"),
        "data_version": data_version,
    }
    audit.record(
        connection, reviewer, "exception.reviewed", f"{site}/{batch_id}/{exception_id}", old, new, reason or _AGREED
    )
    return ExceptionReview(review_id=int(made[0]) if made else 0, **values)


def latest(connection: Connection, site: str, batch_id: str) -> dict[str, ExceptionReview]:
    """The newest review of each exception of a batch, by exception_id."""
    return {r.exception_id: r for r in history(connection, site, batch_id)}


def history(connection: Connection, site: str, batch_id: str) -> list[ExceptionReview]:
    """Every review of a batch's exceptions, oldest first."""
    query = sa.select(exception_reviews).where(
        exception_reviews.c.site == site, exception_reviews.c.batch_id == batch_id
    )
    rows = connection.execute(query.order_by(exception_reviews.c.review_id)).mappings()
    return [ExceptionReview(**dict(row)) for row in rows]
