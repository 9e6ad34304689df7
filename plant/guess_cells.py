"""What the cells of an unknown export are written in: number marks, marks for a missing value.

Everything here looks at a sample of text cells and says what fits, how sure that is and what does not fit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plant.errors import listing

Sure = Literal["sure", "likely", "unsure"]


@dataclass(frozen=True)
class Verdict:
    """One guess: its value, why, and how sure. doubt: what a person has to decide; empty where nothing is open."""

    value: Any
    why: str
    sure: Sure = "sure"
    doubt: str = ""


# Marks that mean "no value" wherever they stand, and marks that do so only among numbers or times.
_STRONG = {"na", "n/a", "#n/a", "#nv", "#na", "null", "(null)", "<null>", "\\n", "nan", "n.v.", "k.a.", "#value!"}
_WEAK = {"-", "--", "---", "—", "–", "?", "*", ".", "none", "nil", "x", "bad", "no data", "n.d."}
# (decimal, thousands) in the order in which they are preferred when several fit equally well.
_MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
_LIKE = re.compile(r"[+-]?(?:[0-9][0-9.,' ]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE_LIKE = re.compile(r"[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}")


def number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    """Numbers with these marks, as `plant.cells` reads them."""
    whole = r"[0-9]+"
    if thousands:
        whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    point = re.escape(decimal)
    return re.compile(rf"[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?")


_PATTERNS = {marks: number_pattern(*marks) for marks in _MARKS}


def like_number(cell: str) -> bool:
    """Whether some pair of marks makes this a number."""
    return bool(_LIKE.fullmatch(cell)) and any(p.fullmatch(cell) for p in _PATTERNS.values())


def number_marks(columns: Iterable[Sequence[str]]) -> tuple[Verdict, Verdict]:
    """Decimal and thousands mark of the columns that look like numbers; times and missing marks are left out before."""
    marked: list[str] = []
    for cells in columns:
        filled = [c for c in cells if c]
        likely = [c for c in filled if _LIKE.fullmatch(c) and not _DATE_LIKE.fullmatch(c)]
        if filled and len(likely) >= 0.6 * len(filled):
            marked += [c for c in likely if any(m in c for m in ".,' ")]
    if not marked:
        plain = Verdict(".", "no number has a decimal mark", "likely")
        return plain, Verdict("", "no number has a thousands mark", "likely")
    fits = {marks: sum(bool(p.fullmatch(c)) for c in marked) for marks, p in _PATTERNS.items()}
    best = max(_MARKS, key=lambda marks: fits[marks])  # the first of equals
    decimal, thousands = best
    odd = [c for c in marked if not _PATTERNS[best].fullmatch(c)]
    why = f"{fits[best]:,} of {len(marked):,} numbers with a mark fit"
    why += f", not: {listing(dict.fromkeys(odd), 3)}" if odd else f", such as {marked[0]}"
    sure: Sure = "sure" if not odd else "likely"
    doubt = ""
    other = ("," if decimal == "." else ".", decimal)
    if not thousands and fits[other] == fits[best] and not any(c.lstrip("+-").startswith("0") for c in marked):
        # 1.234 everywhere: three digits after the mark, so that it may part thousands as well
        sure = "unsure"
        doubt = f"every number with '{decimal}' has three digits after it ({marked[0]}): it may part thousands"
    return Verdict(decimal, why, sure, doubt), Verdict(thousands, why if thousands else "not needed", sure)


def fit_number(cells: Iterable[str], decimal: str, thousands: str) -> list[bool]:
    """For each cell, whether it is a number with these marks."""
    pattern = number_pattern(decimal, thousands)
    return [bool(pattern.fullmatch(c)) for c in cells]


def missing_marks(columns: Sequence[Sequence[str]], is_time: Sequence[bool]) -> Verdict:
    """Words that stand for no value, as they are spelt in the file; the empty cell is always one."""
    found: Counter[str] = Counter()
    unclear: Counter[str] = Counter()
    for cells, time in zip(columns, is_time, strict=True):
        counts = Counter(c for c in cells if c)
        weak = {c: n for c, n in counts.items() if c.lower() in _WEAK}
        found.update({c: n for c, n in counts.items() if c.lower() in _STRONG})
        if not weak:
            continue
        rest = [c for c in counts.elements() if c not in weak and c.lower() not in _STRONG]
        numbers = sum(map(like_number, rest))
        if rest and (time or numbers >= 0.9 * len(rest)):
            found.update(weak)
        elif rest:
            unclear.update({c: n for c, n in weak.items() if not c.isalpha()})
    told = ", ".join(f"{word} ({n:,})" for word, n in found.most_common(8))
    doubt = f"{listing(unclear, 5)} among words: no value, or a code?" if unclear.keys() - found.keys() else ""
    why = f"stand among the values: {told}" if found else "empty cells only"
    return Verdict(["", *sorted(found)], why, "likely" if found else "sure", doubt)
