"""Names: two spellings of one thing, references that lead nowhere, words that were never seen before, mangled keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from plant.readiness_records import FAILURE, HARMS, REVIEW, Finding, Records, finding, micros, share
from plant.tables import TABLES

# A spreadsheet writes a long number with one digit before the mark and E+; a key of hex digits has no sign in it.
_MANGLED = re.compile(r"^(?:\d(?:[.,]\d+)?[eE]\+\d{2,3}|\d{5,}\.0|#(?:REF!|N/A|NAME\?|VALUE!|DIV/0!|NUM!)|#{3,})$")
_WORDS = {
    "equipment": ("equipment_class",),
    "events": ("code",),
    "downtime": ("reason",),
    "work_orders": ("failure_mode", "mechanism", "cause"),
    "batches": ("product", "recipe"),
    "batch_steps": ("step",),
    "genealogy": ("material", "supplier"),
    "lab_results": ("attribute", "unit"),
    "deviations": ("category",),
}


def _tokens(word: str) -> tuple[str, ...]:
    """Letters and numbers of a name, apart; numbers without leading zeros."""
    parts = re.findall(r"[^\W\d_]+|\d+", word.casefold())
    return tuple(p.lstrip("0") or "0" if p.isdecimal() else p for p in parts)


def spelling_keys(word: str) -> set[tuple[str, ...]]:
    """What two spellings of one name share: without case, separators and leading zeros; O read as 0, I and l as 1."""
    plain = _tokens(word)
    zeros = re.sub(r"(?<=\d)[oO]|(?<![^\W\d_])[oO](?=\d)", "0", word)
    ones = re.sub(r"(?<=\d)[iIl]|(?<![^\W\d_])[iIl](?=\d|$)", "1", zeros)
    return {plain, _tokens(ones)} - {()}


def same_spelling(words: Iterable[str]) -> list[list[str]]:
    """Groups of two or more words that are spellings of one name."""
    by_key: dict[tuple[str, ...], set[str]] = {}
    for word in words:
        for key in spelling_keys(word):
            by_key.setdefault(key, set()).add(word)
    groups = {tuple(sorted(g)) for g in by_key.values() if len(g) > 1}
    return sorted(list(g) for g in groups if not any(set(g) < set(o) for o in groups))


def abbreviates(short: str, long: str) -> bool:
    """`PR-01` for `PRESS-1`: the same numbers, and letters that begin alike and come in the same order."""
    a, b = _tokens(short), _tokens(long)
    if (
        [p for p in a if p.isdecimal()] != [p for p in b if p.isdecimal()]
        or a == b
        or not any(p.isdecimal() for p in a)
    ):
        return False
    x, y = ("".join(p for p in t if not p.isdecimal()) for t in (a, b))
    if len(x) > len(y):
        x, y = y, x
    letters = iter(y)
    return len(x) >= 2 and x[0] == y[0] and all(c in letters for c in x)


def spellings(records: Records, reading: Iterable[str] = ()) -> Iterator[Finding]:
    """Equipment (reading: those that send readings), batches, lots and words that are written in two ways."""
    yield from _equipment_spellings(records, set(reading))
    for column, tables in (("batch_id", _with("batch_id")), ("material_lot", _with("material_lot"))):
        used = {t: set(records.rows(t)[column].dropna().astype(str)) for t in tables}
        groups = same_spelling(set().union(*used.values()))
        # A pair that stands side by side in one table is more likely two things than one.
        apart = [g for g in groups if not any(set(g) <= words for words in used.values())]
        if apart:
            tables_of = sorted({t for t, words in used.items() for g in apart if words & set(g)})
            home = "batches" if column == "batch_id" else "lab_results"
            yield finding(
                "two_spellings",
                "medium",
                home,
                len(apart),
                f"{len(apart)} {column} are written in two ways in {', '.join(tables_of)}: "
                "what belongs together is not joined",
                [" and ".join(g) for g in apart],
            )
    for table, columns in _WORDS.items():
        for column in columns:
            if table == "lab_results" and column == "unit":
                continue
            groups = same_spelling(set(records.rows(table)[column].dropna().astype(str)))
            if groups:
                yield finding(
                    "two_spellings",
                    "low",
                    table,
                    len(groups),
                    f"{len(groups)} {column} of {table} are written in two ways and count as different ones",
                    [" and ".join(g) for g in groups],
                )


def _with(column: str) -> list[str]:
    return [n for n, t in TABLES.items() if column in t.names and n != "readings"]


def _equipment_spellings(records: Records, reading: set[str]) -> Iterator[Finding]:
    listed = records.rows("equipment")
    known = set(listed["equipment_id"].dropna().astype(str))
    used: dict[str, set[str]] = {"equipment": known, "readings": reading}
    for table in _with("equipment_id"):
        used.setdefault(table, set(records.rows(table)["equipment_id"].dropna().astype(str)))
    every = set().union(*used.values())
    groups = same_spelling(every)
    paired = {w for g in groups for w in g}
    classes = listed.drop_duplicates("equipment_id").set_index("equipment_id")["equipment_class"].to_dict()
    for stray in sorted(every - known - paired):
        near = [k for k in sorted(known) if abbreviates(stray, k)]
        if len(near) == 1:
            groups.append([stray, near[0]])
    silent = known - set().union(*(w for t, w in used.items() if t not in ("equipment", "signals")), set())
    for name in sorted(silent - paired):
        near = [k for k in sorted(known - silent) if abbreviates(name, k) and classes.get(k) == classes.get(name)]
        if len(near) == 1:
            groups.append([name, near[0]])
    if groups:
        examples = [
            " and ".join(f"{w} (in {', '.join(t for t, words in used.items() if w in words)})" for w in g)
            for g in groups
        ]
        yield finding(
            "two_spellings",
            "high",
            "equipment",
            len(groups),
            f"{len(groups)} equipment number(s) are written in two ways: the history of one machine is split in two, "
            "so its failures are not joined to its readings",
            examples,
            [FAILURE, *HARMS["batch_steps"]],
        )


def orphans(records: Records, reading: Iterable[str] = ()) -> Iterator[Finding]:
    """References that lead nowhere. reading: equipment that sends readings."""
    for name, table in TABLES.items():
        for column, other in table.references.items():
            there = records.rows(other)
            key = TABLES[other].key[0]
            if name == "readings":
                used = pd.Series(sorted(set(reading)), dtype=object)
            else:
                used = records.rows(name)[column].dropna().astype(str)
            if not len(there):
                if name != "lab_results" or not len(used):
                    continue
                known = _batches_elsewhere(records)
                if not known:
                    continue
                other = "any other table"
            else:
                known = set(there[key].astype(str))
            lost = sorted(set(used) - known)
            if not lost:
                continue
            count = int(used.isin(lost).sum())
            what = "equipment that sends readings" if name == "readings" else f"row(s) of {name} name a {column}"
            why = {
                "equipment_id": "they belong to no machine that is scored",
                "batch_id": "they are joined to no batch",
                "parent_id": "the hierarchy is incomplete",
            }[column]
            yield finding(
                "orphans",
                "high" if count > 0.2 * len(used) else "medium",
                name,
                count,
                f"{count} {what} that {other} does not hold ({share(count, len(used))}): {why}",
                lost,
            )
    yield from _orphan_lots(records)


def _batches_elsewhere(records: Records) -> set[str]:
    tables = ("batches", "batch_steps", "genealogy", "deviations", "dispositions")
    return set().union(*(set(records.rows(t)["batch_id"].dropna().astype(str)) for t in tables))


def _orphan_lots(records: Records) -> Iterator[Finding]:
    results, used = records.rows("lab_results"), records.rows("genealogy")
    alone = results[results["batch_id"].isna() & results["material_lot"].notna()]
    if not len(alone) or not len(used):
        return
    nowhere = alone[~alone["material_lot"].astype(str).isin(set(used["material_lot"].astype(str)))]
    if len(nowhere):
        lots = sorted(set(nowhere["material_lot"].astype(str)))
        yield finding(
            "lots_not_used",
            "low" if len(nowhere) > 0.5 * len(alone) else "info",
            "lab_results",
            len(nowhere),
            f"{len(nowhere)} result(s) are of {len(lots)} lot(s) that no genealogy uses: they tell nothing of a batch "
            "(yet)",
            lots,
        )


_LATE = (2 / 3, 0.8, 0.9)  # of the records, by time: the widest view that tells comes first
_OFTEN = 5  # rows


def new_words(records: Records) -> Iterator[Finding]:
    """Words that appear for the first time late in the records, where the vocabulary was settled."""
    for table, columns in _WORDS.items():
        frame, known_by = records.rows(table), TABLES[table].known_by
        if known_by == "always" or len(frame) < 100:
            continue
        at = micros(frame[known_by])
        for column in columns:
            told = late_words(at, frame[column].astype(object))
            if told is None:
                continue
            cut, known, fresh = told
            yield finding(
                "new_code",
                "medium",
                table,
                int(fresh.sum()),
                f"{len(fresh)} {column} of {table} were never seen before "
                f"{pd.Timestamp(int(cut), unit='us'):%Y-%m-%d}, among {known} that were: "
                "a model has learned nothing about them",
                [f"{w} ({n} row(s))" for w, n in fresh.items()],
            )


def late_words(at: np.ndarray, words: pd.Series) -> tuple[float, int, pd.Series] | None:
    """(µs after which a settled vocabulary gained words, words known by then, rows of each that is new), or None."""
    return next((told for late in _LATE if (told := _fresh(at, words, late)) is not None), None)


def _fresh(at: np.ndarray, words: pd.Series, late: float) -> tuple[float, int, pd.Series] | None:
    """As `late_words`, for the rows behind this share of them.

    None where no more words are new than this vocabulary lets expect: ids and free text never cease to grow.
    """
    before, cut = np.quantile(at, [2 * late - 1, late])
    early, rest = words[at <= cut].dropna(), words[at > cut].dropna()
    if len(early) < 60 or not len(rest):
        return None
    seen = early.value_counts()
    fresh = rest[~rest.isin(seen.index)].value_counts()
    if not len(fresh) or len(seen) >= 0.2 * len(early):
        return None
    # Good and Turing: how often the next word is a new one, told by the words that were seen once.
    expected = float((seen == 1).sum()) / len(early) * len(rest)
    # What was new in the stretch of the same length before.
    middle, first = words[(at > before) & (at <= cut)].dropna(), words[at <= before].dropna().unique()
    grown = middle[~middle.isin(first)].value_counts()
    expected = max(expected, len(grown) - (1.0 if late >= 0.9 else 0.0))  # in a tenth one rare word may come
    if len(fresh) > 3 * expected + 0.5:
        return float(cut), len(seen), fresh
    # A word that is frequent from now on is no rare one that happened to come late.
    often = fresh[fresh >= _OFTEN]
    usual = int((grown >= _OFTEN / 2).sum())  # frequent words that came before; a few of their rows may lack
    return (float(cut), len(seen), often) if len(often) > 3 * usual + 0.5 else None


def mangled_keys(records: Records) -> Iterator[Finding]:
    """Keys and references that a spreadsheet has turned into numbers or errors: 1.92618E+09, 1926183442.0, #REF!."""
    for name, table in TABLES.items():
        if name == "readings":
            continue
        frame = records.rows(name)
        names = [*table.key, *(c for c in table.names if c.endswith("_id") or c == "material_lot")]
        for column in dict.fromkeys(c for c in names if table.column(c).kind == "string"):
            words = frame[column].dropna().astype(str)
            bad = words[words.str.match(_MANGLED)]
            if len(bad):
                yield finding(
                    "mangled_numbers",
                    "high",
                    name,
                    len(bad),
                    f"{len(bad)} {column} of {name} look as a spreadsheet writes numbers: digits of the number are "
                    "lost, and rows of different things fall together",
                    bad.unique(),
                    sorted({*HARMS[name], REVIEW}) if column == "batch_id" else None,
                )
