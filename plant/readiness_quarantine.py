"""What was put aside: by reason, with unknown codes, repeated keys and mangled numbers told apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pandas as pd

from plant.readiness_records import HARMS, Finding, Records, Severity, finding
from plant.tables import TABLES

# Numbers as spreadsheets spoil them: several thousands marks, powers of ten, dates, errors.
_SPOILT = re.compile(
    r"^\s*[-+]?(?:"
    r"\d{1,3}([.,' ])\d{3}(?:\1\d{3})+"
    r"|\d+(?:[.,]\d+)?[eE]\+?\d+"
    r"|\d{1,2}[./ -]\s*(?:\d{1,2}|[^\W\d_]{3,9})\.?(?:[./ -]\d{2,4})?"
    r"|[^\W\d_]{3}[-. ]\d{2,4}"
    r"|\d{4}-\d{2}-\d{2}(?:[T ].*)?"
    r"|#[\w/]+[!?]?|#{2,}"
    r")\s*$"
)
_NUMBER = ("is no finite number", "is no number", "cannot be read as a number")


def kind_of(reason: str) -> str:
    """A reason without the words of its row, so that equal reasons fall together."""
    return re.sub(r"'[^']*'", "'…'", reason, count=1)


def put_aside(records: Records) -> Iterator[Finding]:
    """Findings about the quarantine, one a table and kind of reason."""
    aside = records.quarantine
    if not len(aside):
        return
    reasons = aside["reason"].astype(str)
    for (table, reason), rows in aside.assign(kind=reasons.map(kind_of)).groupby(["table", "kind"], sort=True):
        count = records.counts.get(str(table))
        read = count.read if count is not None else 0
        part = len(rows) / read if read else 0.0
        # A machine that is put aside takes all of its rows with it.
        weighty = part > 0.01 or len(rows) >= 100 or str(table) in ("equipment", "signals")
        severity: Severity = "high" if part > 0.2 else "medium" if weighty else "low"
        words = str(reason)
        code = "quarantined"
        why = ""
        if "not in the crosswalk" in words:
            code, why = "unmapped_code", "; add the code to the crosswalk and release the rows"
        elif "stands twice" in words and "key" in words:
            code, why = "duplicate_keys", "; two records contradict each other and the first was kept"
        examples = [f"{r.file} {_line(r.line)}: {r.reason}" for r in rows.head(5).itertuples()]
        yield finding(
            code,
            severity,
            str(table),
            len(rows),
            f"{len(rows)} row(s) put aside: {reason}{why}",
            examples,
            HARMS.get(str(table), []),
        )
    yield from _spoilt_numbers(aside)


def _line(line: object) -> str:
    return "" if pd.isna(line) else f"line {int(float(str(line)))}"


def _spoilt_numbers(aside: pd.DataFrame) -> Iterator[Finding]:
    """Numbers that were put aside because a spreadsheet had made something else of them."""
    about = aside[aside["reason"].astype(str).str.contains("|".join(_NUMBER), regex=True)]
    for table, rows in about.groupby("table", sort=True):
        found = []
        for r in rows.itertuples():
            cell = _cell(str(r.reason), str(r.column), r.row)
            if cell and _SPOILT.match(cell):
                found.append(f"{r.file} {_line(r.line)}: {r.column} reads '{cell}'")
        if found:
            yield finding(
                "mangled_numbers",
                "medium" if len(found) < 20 else "high",
                str(table),
                len(found),
                f"{len(found)} number(s) of {table} were spoilt by a spreadsheet (thousands marks, powers of ten, "
                "dates in a column of numbers): the values are lost until the export is made anew",
                found,
            )


def _cell(reason: str, column: str, row: object) -> str:
    """The cell that a reason is about: quoted in the reason, else from the row."""
    quoted = re.match(r"'([^']*)'", reason)
    if quoted:
        return quoted.group(1)
    try:
        cells = json.loads(str(row))
    except ValueError:
        return ""
    return str(cells.get(column, "")) if isinstance(cells, dict) else ""


def crosswalk_reviews(records: Records) -> Iterator[Finding]:
    """Codes in use whose place in a crosswalk nobody has reviewed (`site.crosswalk_reviews`).

    A code counts as in use when one of its words stands in the canonical tables: the raw codes are not kept.
    """
    reviews: dict[str, pd.DataFrame] = getattr(records.site, "crosswalk_reviews", {})
    for name, review in reviews.items():
        walk = records.site.crosswalks.get(name)
        if walk is None or "review" not in review:
            continue
        drafts = walk[walk.index.isin(review.index[review["review"].astype(str) == "draft"])]
        if not len(drafts):
            continue
        used = _words_in_use(records, name)
        active = [str(code) for code, row in drafts.iterrows() if any(str(w) in used for w in row)]
        if active:
            tables = sorted(t for t, items in records.site.tables.items() for i in items if _uses(i, name))
            yield finding(
                "crosswalk_draft",
                "low",
                tables[0] if tables else "",
                len(active),
                f"{len(active)} code(s) of the crosswalk '{name}' are in use and nobody has reviewed what they mean",
                active,
            )


def _uses(item: object, crosswalk: str) -> bool:
    forms = getattr(item, "columns", {})
    return any(getattr(f, "crosswalk", None) == crosswalk for f in forms.values())


def _words_in_use(records: Records, crosswalk: str) -> set[str]:
    """Words of the columns that this crosswalk fills."""
    words: set[str] = set()
    for table, items in records.site.tables.items():
        if table == "readings":
            continue
        for item in items:
            for column, form in item.columns.items():
                if getattr(form, "crosswalk", None) == crosswalk and column in TABLES[table].names:
                    words |= set(records.rows(table)[column].dropna().astype(str))
    return words
