"""Versions, promotions, scores, orders, monitoring results and the append-only audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "model_versions",
        text("site"), text("model"), text("version"), text("sha256"), text("task"), text("bundle_uri"),
        text("data_version"), time("trained_at"), sa.Column("beats_baseline", sa.Boolean(), nullable=False),
        text("stage"), sa.Column("evidence", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("site", "model", "version", name="pk_model_versions"),
    )
    op.create_table(
        "promotions",
        sa.Column("promotion_id", sa.Integer(), autoincrement=True, nullable=False),
        text("site"), text("model"), text("version"), text("actor"), text("reason"), time("at"),
        text("previous_version", nullable=True),
        sa.PrimaryKeyConstraint("promotion_id", name="pk_promotions"),
        sa.ForeignKeyConstraint(
            ["site", "model", "version"],
            ["model_versions.site", "model_versions.model", "model_versions.version"],
            name="fk_promotions_site_model_version",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_promotions_site_model_promotion_id", "promotions", ["site", "model", "promotion_id"])
    op.create_table(
        "scores",
        text("score_id"), text("site"), text("task"), text("model"), text("model_version"), text("bundle_sha256"),
        text("data_version"), text("subject"), time("as_of"), time("scored_at"), text("input_hash"),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("score_id", name="pk_scores"),
    )
    op.create_index(
        "ix_scores_site_model_subject_as_of_scored_at", "scores", ["site", "model", "subject", "as_of", "scored_at"]
    )
    op.create_index("ix_scores_scored_at", "scores", ["scored_at"])
    op.create_table(
        "work_orders_book",
        text("order_id"), text("site"), text("equipment_id"), text("failure_mode"), time("opened_at"), text("reason"),
        sa.Column("expected_saving", sa.Float(), nullable=False), text("currency"), text("score_id"), text("state"),
        sa.PrimaryKeyConstraint("order_id", name="pk_work_orders_book"),
        sa.ForeignKeyConstraint(["score_id"], ["scores.score_id"], name="fk_work_orders_book_score_id"),
    )
    op.create_index(
        "ix_work_orders_book_site_equipment_id_failure_mode_state", "work_orders_book",
        ["site", "equipment_id", "failure_mode", "state"],
    )
    op.create_index(
        "uq_work_orders_book_open", "work_orders_book", ["site", "equipment_id", "failure_mode"], unique=True,
        sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "monitoring",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        text("site"), text("model"), text("version"), time("at"), text("window"),
        sa.Column("drifted", sa.Boolean(), nullable=False), sa.Column("share", sa.Float(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False), text("report_path", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_monitoring"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_monitoring_site_model_at", "monitoring", ["site", "model", "at"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        time("at"), text("actor"), text("action"), text("subject"), text("old", nullable=True),
        text("new", nullable=True), text("reason"), text("previous_hash"), text("hash"),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    if op.get_bind().dialect.name == "postgresql":
        append_only_postgresql()
    else:
        append_only_sqlite()


def append_only_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
    # INSERT OR REPLACE would otherwise rewrite a row without passing the triggers above
    op.execute(
        "CREATE TRIGGER audit_in_order BEFORE INSERT ON audit "
        "WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit) "
        "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
    )


def append_only_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
    )
    op.execute(
        "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    )
