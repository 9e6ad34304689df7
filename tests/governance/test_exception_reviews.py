"""What reviewers say is only ever appended, says who and why, and stands in the audit trail."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from governance import audit, exception_reviews
from governance.database import reading
from governance.errors import Refused

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
SHOWN = {"exception_id": "e1", "evidence_hash": "h1", "kind": "downtime", "severity": "major", "text": "stood 3 h"}


def say(engine: Engine, decision: str, reviewer: str = "ann", reason: str = "seen", **changes: Any) -> Any:
    with engine.begin() as connection:
        return exception_reviews.record(
            connection, "dublin", "B1", SHOWN | changes, decision, reviewer, reason, AS_OF, "dublin@1"
        )


def test_the_newest_word_on_each_exception_counts_and_every_word_stays(engine: Engine) -> None:
    say(engine, "override", reason="an inspection, not a stop")
    say(engine, "agree", "bob", reason="")
    say(engine, "agree", exception_id="e2")
    with reading(engine) as connection:
        latest = exception_reviews.latest(connection, "dublin", "B1")
        every = exception_reviews.history(connection, "dublin", "B1")
        assert exception_reviews.history(connection, "dublin", "B2") == []
        assert exception_reviews.history(connection, "cork", "B1") == []
    assert [(r.exception_id, r.decision, r.reviewer, r.reason) for r in every] == [
        ("e1", "override", "ann", "an inspection, not a stop"), ("e1", "agree", "bob", ""),
        ("e2", "agree", "ann", "seen"),
    ]
    assert (latest["e1"].reviewer, latest["e1"].exception) == ("bob", SHOWN)
    assert latest["e1"].as_of == AS_OF
    assert (datetime.now(UTC) - latest["e1"].reviewed_at).total_seconds() < 60


def test_each_word_is_in_the_audit_trail_with_what_it_replaced(engine: Engine) -> None:
    say(engine, "override", reason="no stop")
    say(engine, "agree", "bob", reason="", evidence_hash="h2")
    with reading(engine) as connection:
        rows = connection.execute(sa.select(audit.audit).order_by(audit.audit.c.seq)).mappings().all()
        assert audit.verify(connection).passes
    assert [(r["actor"], r["action"], r["subject"]) for r in rows] == [
        ("ann", "exception.reviewed", "dublin/B1/e1"), ("bob", "exception.reviewed", "dublin/B1/e1"),
    ]
    assert [r["reason"] for r in rows] == ["no stop", "agrees with the exception as it was found"]
    assert rows[0]["old"] is None
    assert json.loads(rows[1]["old"]) == {"decision": "override", "evidence_hash": "h1"}
    assert json.loads(rows[1]["new"])["evidence_hash"] == "h2"


@pytest.mark.parametrize(("decision", "reviewer", "reason", "code"), [
    ("override", "ann", "", "incomplete_record"), ("override", "ann", "  ", "incomplete_record"),
    ("agree", " ", "seen", "incomplete_record"), ("release", "ann", "seen", "bad_decision"),
    ("", "ann", "", "bad_decision"),
])
def test_a_word_that_says_too_little_is_refused(
    engine: Engine, decision: str, reviewer: str, reason: str, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        say(engine, decision, reviewer, reason)
    assert refusal.value.code == code
    with reading(engine) as connection:
        assert exception_reviews.history(connection, "dublin", "B1") == []
        assert audit.verify(connection).rows == 0


@pytest.mark.parametrize("statement", [
    "UPDATE exception_reviews SET decision = 'agree'", "DELETE FROM exception_reviews WHERE review_id = 1",
])
def test_the_database_refuses_changes(engine: Engine, statement: str) -> None:
    say(engine, "override")
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_replacing_a_row_by_inserting_is_refused(engine: Engine) -> None:
    say(engine, "override")
    statement = {
        "sqlite": "INSERT OR REPLACE INTO exception_reviews SELECT * FROM exception_reviews",
        "postgresql": "INSERT INTO exception_reviews SELECT * FROM exception_reviews "
        "ON CONFLICT (review_id) DO UPDATE SET reviewer = 'x'",
    }[engine.dialect.name]
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
