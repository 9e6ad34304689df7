"""The prediction log: every score that was given, with what it was made from.

A score keeps the model version, the hash of its bundle, the data version and the hash of the feature row,
so that it can be computed again to the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from governance.database import scores
from governance.errors import Refused


@dataclass(frozen=True)
class Score:
    """One stored score. subject: equipment or batch; payload: the answer that was given, as JSON."""

    score_id: str
    site: str
    task: str
    model: str
    model_version: str
    bundle_sha256: str
    data_version: str
    subject: str
    as_of: datetime
    scored_at: datetime
    input_hash: str
    payload: dict[str, Any]


def store(connection: Connection, new: Sequence[Score]) -> None:
    """Append scores in the caller's transaction."""
    if new:
        connection.execute(sa.insert(scores), [vars(score) for score in new])


def get(connection: Connection, score_id: str) -> Score:
    """One score. Raises Refused (`unknown_score`)."""
    row = connection.execute(sa.select(scores).where(scores.c.score_id == score_id)).mappings().first()
    if row is None:
        raise Refused("unknown_score", f"there is no score '{score_id}'", "the score_id of an answer that was given")
    return Score(**dict(row))


def latest(connection: Connection, site: str, model: str, version: str) -> list[Score]:
    """The newest score of each subject by one model version, ordered by subject.

    Newest is the latest `as_of`, then the latest `scored_at`: a look back at an earlier time does not
    replace what is known of today.
    """
    place = sa.func.row_number().over(
        partition_by=scores.c.subject, order_by=(scores.c.as_of.desc(), scores.c.scored_at.desc(), scores.c.score_id)
    )
    ranked = (
        sa.select(scores.c.score_id, place.label("place"))
        .where(scores.c.site == site, scores.c.model == model, scores.c.model_version == version).subquery()
    )
    query = (
        sa.select(scores).join(ranked, ranked.c.score_id == scores.c.score_id)
        .where(ranked.c.place == 1).order_by(scores.c.subject)
    )
    return [Score(**dict(row)) for row in connection.execute(query).mappings()]
