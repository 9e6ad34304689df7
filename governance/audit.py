"""The audit trail: who did what to which record, from what to what, when and why.

Rows are only ever appended (the database refuses UPDATE and DELETE) and chained: each row carries an
HMAC-SHA256, under the key of the installation, over its own content and the hash of the row before it.
A changed, removed or inserted row breaks the chain at its place; without the key it cannot be mended.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from governance.database import AUDIT_KEY, audit, one_at_a_time
from governance.errors import Refused

FIRST = "0" * 64  # stands before the first row


@dataclass(frozen=True)
class Verification:
    """What a check of the chain found: rows read, and the first broken one (None: unbroken)."""

    rows: int
    broken_seq: int | None = None
    problem: str = ""

    @property
    def passes(self) -> bool:
        return self.broken_seq is None


def record(connection: Connection, actor: str, action: str, subject: str, old: Any, new: Any, reason: str) -> int:
    """Append one row in the caller's transaction and return its sequence number.

    old, new: JSON values of what changed; None where there is none. Raises Refused without an actor
    or a reason: a trail that does not say who and why is none.
    """
    require_words(actor=actor, reason=reason)
    one_at_a_time(connection)
    last = connection.execute(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    row: dict[str, Any] = {
        "seq": last.seq + 1 if last else 1, "at": datetime.now(UTC), "actor": actor, "action": action,
        "subject": subject, "old": _json(old), "new": _json(new), "reason": reason,
        "previous_hash": last.hash if last else FIRST,
    }
    row["hash"] = _digest(_key(connection), row)
    connection.execute(sa.insert(audit).values(**row))
    return int(row["seq"])


def verify(connection: Connection) -> Verification:
    """Read the whole trail in order and recompute the chain; stops at the first broken row."""
    key, previous, rows = _key(connection), FIRST, 0
    for found in connection.execute(sa.select(audit).order_by(audit.c.seq)).mappings():
        rows += 1
        if found["seq"] != rows:
            return Verification(rows, rows, f"row {rows} is missing")
        if found["previous_hash"] != previous:
            return Verification(rows, rows, f"row {rows} does not follow the row before it")
        if not hmac.compare_digest(found["hash"], _digest(key, dict(found))):
            return Verification(rows, rows, f"the content of row {rows} does not match its hash")
        previous = found["hash"]
    return Verification(rows)


def require_words(**words: str) -> None:
    """Raises Refused, naming every one of `words` that is empty or blank."""
    missing = [name for name, value in words.items() if not value or not value.strip()]
    if missing:
        raise Refused(
            "incomplete_record", f"no {' and no '.join(missing)} was given",
            "the name of a person and a reason in words", "say who does this and why",
        )


def _digest(key: bytes, row: dict[str, Any]) -> str:
    parts = [row["seq"], row["at"].astimezone(UTC).isoformat(timespec="microseconds")]
    parts += [row[name] for name in ("actor", "action", "subject", "old", "new", "reason", "previous_hash")]
    return hmac.new(key, json.dumps(parts, ensure_ascii=False).encode(), hashlib.sha256).hexdigest()


def _key(connection: Connection) -> bytes:
    key: bytes = connection.get_execution_options()[AUDIT_KEY]
    return key


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
