"""What reviewers said of the exceptions of a batch; append-only, as the audit trail is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "exception_reviews",
        sa.Column("review_id", sa.Integer(), autoincrement=True, nullable=False),
        text("site"), text("batch_id"), text("exception_id"), text("evidence_hash"), text("decision"), text("reviewer"),
        text("reason"), time("reviewed_at"), time("as_of"), text("data_version"),
        sa.Column("exception", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("review_id", name="pk_exception_reviews"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_exception_reviews_site_batch_id_review_id", "exception_reviews", ["site", "batch_id", "review_id"]
    )
    if op.get_bind().dialect.name == "postgresql":
        append_only_postgresql()
    else:
        append_only_sqlite()


def append_only_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER exception_reviews_no_{verb.lower()} BEFORE {verb} ON exception_reviews "
            "BEGIN SELECT RAISE(ABORT, 'reviews of exceptions are append-only'); END"
        )
    # INSERT OR REPLACE would otherwise rewrite a row without passing the triggers above
    op.execute(
        "CREATE TRIGGER exception_reviews_in_order BEFORE INSERT ON exception_reviews "
        "WHEN NEW.review_id IN (SELECT review_id FROM exception_reviews) "
        "BEGIN SELECT RAISE(ABORT, 'reviews of exceptions are append-only'); END"
    )


def append_only_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION exception_reviews_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'reviews of exceptions are append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER exception_reviews_no_change BEFORE UPDATE OR DELETE ON exception_reviews "
        "FOR EACH ROW EXECUTE FUNCTION exception_reviews_append_only()"
    )
    op.execute(
        "CREATE TRIGGER exception_reviews_no_truncate BEFORE TRUNCATE ON exception_reviews "
        "FOR EACH STATEMENT EXECUTE FUNCTION exception_reviews_append_only()"
    )
