"""What a check says: the entries it looked at, and what it found among them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from serving.review_kinds import Severity


@dataclass(frozen=True)
class Found:
    """Something that a check found, before the rules say how severe it is.

    keys: rows it rests on, `table/key`; with the kind they name it, so they do not change as more becomes known.
    evidence: what was found against what is allowed; a reviewer's decision holds as long as it stays the same, so
    nothing in it counts on. text: one sentence. at, until: when, UTC. entries: how many of the check's entries it is;
    about: the names of these entries, where other findings may be about the same ones (see `entries_of`).
    """

    kind: str
    keys: tuple[str, ...]
    text: str
    at: pd.Timestamp | None
    evidence: Mapping[str, Any]
    until: pd.Timestamp | None = None
    measure: float | None = None
    recorded: str | None = None
    entries: int = 1
    step: str = ""
    equipment_id: str = ""
    table: str = ""  # where its system is another one than the check's
    rows: tuple[str, ...] = ()  # further rows that it shows
    about: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """What one check did. entries: looked at; notes: what else a reader has to know; done: False if it could not."""

    check: str
    entries: int
    found: Sequence[Found] = ()
    notes: tuple[str, ...] = ()
    done: bool = True


@dataclass(frozen=True)
class Raised:
    """An exception: what was found, and its severity by the rules in force.

    entries: how many entries of its check it takes from the cleared ones: those that no exception before it is about.
    """

    found: Found
    severity: Severity
    system: str
    id: str = field(default="")
    evidence_hash: str = field(default="")
    entries: int = 0


def entries_of(found: Found) -> tuple[str, ...]:
    """Names of the check's entries that a finding is about, so that one that two are about is not counted twice.

    Where it does not name them: the first row it rests on, or so many parts of that as it says.
    """
    if found.about is not None:
        return found.about
    if found.entries <= 1:
        return (found.keys[0],)
    return tuple(f"{found.keys[0]}#{i}" for i in range(found.entries))


def exception_id(site: str, batch_id: str, found: Found) -> str:
    """The same for the same kind and rows, whatever else becomes known: 16 hexadecimal digits."""
    return _digest([site, batch_id, found.kind, sorted(found.keys)])[:16]


def evidence_hash(found: Found, severity: str) -> str:
    """Changes when what was found, against what it stands, or its severity changes."""
    return _digest([found.kind, severity, _plain(found.evidence)])[:16]


def _digest(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """JSON values; floats to six digits, so that the last bit of a machine makes no new evidence."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float | int):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return str(value)


plain_json = _plain


def number(value: Any) -> float | None:
    """A float, None where it is empty."""
    return None if value is None or pd.isna(value) else float(value)


def word(value: Any) -> str:
    """Text, "" where it is empty."""
    return "" if value is None or pd.isna(value) else str(value)
