"""The operational tables: versions, promotions, scores, orders, monitoring results, reviews of exceptions, audit
trail.

Every time is stored as UTC and returned time-zone aware; a naive time is refused. The tables are made
by the migrations in `governance/migrations`; a test holds the two definitions against each other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An instant: UTC in the database, aware in Python; raises ValueError on a naive time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a time zone cannot be stored: {value.isoformat()}")
        instant = value.astimezone(UTC)
        # SQLite has no type for times and keeps text; only one zone may ever stand in it
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


NAMING = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}
metadata = sa.MetaData(naming_convention=NAMING)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=options.pop("nullable", False), **options)


def _time(name: str, **options: Any) -> sa.Column[datetime]:
    return sa.Column(name, UtcDateTime, nullable=options.pop("nullable", False), **options)


model_versions = sa.Table(
    "model_versions", metadata,
    _text("site", primary_key=True),
    _text("model", primary_key=True),
    _text("version", primary_key=True),
    _text("sha256"),
    _text("task"),
    _text("bundle_uri"),
    _text("data_version"),
    _time("trained_at"),
    sa.Column("beats_baseline", sa.Boolean, nullable=False),
    _text("stage"),
    sa.Column("evidence", sa.JSON, nullable=False),
)

promotions = sa.Table(
    "promotions", metadata,
    sa.Column("promotion_id", sa.Integer, primary_key=True, autoincrement=True),
    _text("site"),
    _text("model"),
    _text("version"),
    _text("actor"),
    _text("reason"),
    _time("at"),
    _text("previous_version", nullable=True),
    sa.ForeignKeyConstraint(
        ["site", "model", "version"], ["model_versions.site", "model_versions.model", "model_versions.version"]
    ),
    sa.Index(None, "site", "model", "promotion_id"),
    sqlite_autoincrement=True,
)

scores = sa.Table(
    "scores", metadata,
    _text("score_id", primary_key=True),
    _text("site"),
    _text("task"),
    _text("model"),
    _text("model_version"),
    _text("bundle_sha256"),
    _text("data_version"),
    _text("subject"),
    _time("as_of"),
    _time("scored_at"),
    _text("input_hash"),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Index(None, "site", "model", "subject", "as_of", "scored_at"),
    sa.Index(None, "scored_at"),
)

work_orders_book = sa.Table(
    "work_orders_book", metadata,
    _text("order_id", primary_key=True),
    _text("site"),
    _text("equipment_id"),
    _text("failure_mode"),
    _time("opened_at"),
    _text("reason"),
    sa.Column("expected_saving", sa.Float, nullable=False),
    _text("currency"),
    _text("score_id"),
    _text("state"),
    sa.ForeignKeyConstraint(["score_id"], ["scores.score_id"]),
    sa.Index(None, "site", "equipment_id", "failure_mode", "state"),
)
# One open order for an equipment and failure mode, whoever asks and how often
sa.Index(
    "uq_work_orders_book_open", work_orders_book.c.site, work_orders_book.c.equipment_id,
    work_orders_book.c.failure_mode, unique=True,
    sqlite_where=work_orders_book.c.state == "open", postgresql_where=work_orders_book.c.state == "open",
)

monitoring = sa.Table(
    "monitoring", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    _text("site"),
    _text("model"),
    _text("version"),
    _time("at"),
    _text("window"),
    sa.Column("drifted", sa.Boolean, nullable=False),
    sa.Column("share", sa.Float, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    _text("report_path", nullable=True),
    sa.Index(None, "site", "model", "at"),
    sqlite_autoincrement=True,
)

exception_reviews = sa.Table(
    "exception_reviews", metadata,
    sa.Column("review_id", sa.Integer, primary_key=True, autoincrement=True),
    _text("site"),
    _text("batch_id"),
    _text("exception_id"),
    _text("evidence_hash"),
    _text("decision"),
    _text("reviewer"),
    _text("reason"),
    _time("reviewed_at"),
    _time("as_of"),
    _text("data_version"),
    sa.Column("exception", sa.JSON, nullable=False),
    sa.Index(None, "site", "batch_id", "review_id"),
    sqlite_autoincrement=True,
)

audit = sa.Table(
    "audit", metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    _time("at"),
    _text("actor"),
    _text("action"),
    _text("subject"),
    _text("old", nullable=True),
    _text("new", nullable=True),
    _text("reason"),
    _text("previous_hash"),
    _text("hash"),
)
