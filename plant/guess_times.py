"""How times are written in an unknown export: the layout of each cell, and what one layout explains a column.

A layout is `iso` or a strptime format, as `site.yaml` takes it. Whether the day or the month comes first is read from
numbers above 12 or from the order of the rows; where neither tells, it is said and left to a person.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from plant.errors import listing
from plant.guess_cells import Sure

_ISO = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[Tt ][0-9:.,]+)? ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?")
_CLOCK = (
    r"(?:(?P<gap>, | |T|  )(?P<hour>[0-9]{1,2})(?P<colon>[:.])[0-9]{2}(?P<second>(?P=colon)[0-9]{2}"
    r"(?P<fraction>[.,][0-9]{1,9})?)?(?P<half> ?[AaPp][Mm])?)?(?P<zone> ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?"
)
_NUMERIC = re.compile(
    r"(?P<one>[0-9]{1,2})(?P<sep>[./-])(?P<two>[0-9]{1,2})(?P=sep)(?P<year>[0-9]{4}|[0-9]{2})" + _CLOCK
)
_YEAR_FIRST = re.compile(r"[0-9]{4}(?P<sep>[./])[0-9]{1,2}(?P=sep)[0-9]{1,2}" + _CLOCK)
_NAMED = re.compile(
    r"[0-9]{1,2}(?P<sep>\. ?| |-|/)(?P<word>[^\W\d_]{3,})(?P<sep2>\. ?|, ?| |-|/)(?P<year>[0-9]{4}|[0-9]{2})" + _CLOCK
)
_NAME_FIRST = re.compile(r"(?P<word>[^\W\d_]{3,}) [0-9]{1,2}(?P<sep2>, ?| )(?P<year>[0-9]{4})" + _CLOCK)
_MONTH = re.compile(r"(?P<word>[^\W\d_]{3,})(?P<sep>[. /-])(?P<year>[0-9]{4}|[0-9]{2})")
_COMPACT = re.compile(r"(?:19|20)[0-9]{6}(?P<gap>[ _]?)(?P<clock>[0-9]{4}|[0-9]{6})")
_CLOCK_ONLY = re.compile(r"[0-2]?[0-9]:[0-5][0-9](?P<second>:[0-5][0-9])?")
_EPOCH_NAME = r"time|epoch|unix|stamp|zeit|datum|date|(?<![a-z])(?:ts|ms)(?![a-z])|^t$|^cas|utc|millis|horodat|heure"
_EPOCHS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}

_NAMES = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "de_AT": "jänner feber mrz april mai juni juli august september oktober november dezember",
    "sl": "januar februar marec april maj junij julij avgust september oktober november december",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "hr": "siječnja veljače ožujka travnja svibnja lipnja srpnja kolovoza rujna listopada studenog prosinca",
    "cs": "ledna února března dubna května června července srpna září října listopadu prosince",
}
_ENGLISH = _NAMES["en"].split()


@dataclass(frozen=True)
class Times:
    """Layouts of a time column, the most frequent first. doubt: what a person has to decide, with the other choice.

    epoch: seconds in one count, where the cells count from 1970; zoned: the cells name their offset from UTC.
    """

    formats: tuple[str, ...]
    why: str
    sure: Sure
    unfit: int
    months: dict[str, int] = field(default_factory=dict)
    language: str = ""
    zoned: bool = False
    date_only: bool = False
    epoch: float | None = None
    doubt: str = ""
    other: str = ""


def _clock(match: re.Match[str]) -> str:
    part = match.groupdict()
    out = ""
    if part["hour"]:
        colon = part["colon"]
        out = f"{part['gap']}{'%I' if part['half'] else '%H'}{colon}%M"
        out += f"{colon}%S" if part["second"] else ""
        out += f"{part['fraction'][0]}%f" if part["fraction"] else ""
        out += (" " if part["half"][0] == " " else "") + "%p" if part["half"] else ""
    if part["zone"]:
        out += (" " if part["zone"][0] == " " else "") + "%z"
    return out


def _year(match: re.Match[str]) -> str:
    return "%Y" if len(match["year"]) == 4 else "%y"


def layout(cell: str) -> tuple[str, str] | None:
    """(layout, name of the month) of one cell. Numeric days and months that change places are `%1` and `%2`."""
    if _ISO.fullmatch(cell) and (len(cell) == 8 or "-" in cell[:8]):
        return "iso", ""
    if m := _NUMERIC.fullmatch(cell):
        return f"%1{m['sep']}%2{m['sep']}{_year(m)}{_clock(m)}", ""
    if m := _YEAR_FIRST.fullmatch(cell):
        return f"%Y{m['sep']}%m{m['sep']}%d{_clock(m)}", ""
    if m := _COMPACT.fullmatch(cell):
        return f"%Y%m%d{m['gap']}%H%M" + ("%S" if len(m["clock"]) == 6 else ""), ""
    if m := _NAMED.fullmatch(cell):
        return f"%d{m['sep']}%b{m['sep2']}{_year(m)}{_clock(m)}", m["word"].lower()
    if m := _NAME_FIRST.fullmatch(cell):
        return f"%b %d{m['sep2']}{_year(m)}{_clock(m)}", m["word"].lower()
    if m := _MONTH.fullmatch(cell):
        return f"%b{m['sep']}{_year(m)}", m["word"].lower()
    return None


def like_time(cell: str) -> bool:
    found = layout(cell)
    return (found is not None and (not found[1] or bool(_languages({found[1]})))) or bool(_CLOCK_ONLY.fullmatch(cell))


def clock_only(cells: Sequence[str]) -> str:
    """Format of a column of clock times without a date, or nothing."""
    found = [_CLOCK_ONLY.fullmatch(c) for c in cells]
    if not cells or sum(m is not None for m in found) < 0.95 * len(cells):
        return ""
    return "%H:%M:%S" if any(m is not None and m["second"] for m in found) else "%H:%M"


def _plain(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(c))


def _month(word: str, names: list[str]) -> int:
    """Number of the month whose name begins with the word; 0 where none or several do."""
    hits = [i for i, name in enumerate(names, 1) if _plain(name).startswith(_plain(word))]
    exact = [i for i, name in enumerate(names, 1) if _plain(name) == _plain(word)]
    found = exact or hits
    return found[0] if len(found) == 1 else 0


def _languages(words: set[str]) -> list[str]:
    return [tag for tag, text in _NAMES.items() if all(_month(w, text.split()) for w in words)]


def month_names(words: set[str]) -> tuple[str, str, dict[str, int]] | None:
    """(`%b` or `%B`, language, months for site.yaml) of month names found; no months where English ones do."""
    tags = _languages(words)
    if not tags:
        return None
    if tags[0] == "en":
        if all(len(w) == 3 for w in words):
            return "%b", "en", {}
        if words <= set(_ENGLISH):
            return "%B", "en", {}
    names = _NAMES[tags[0]].split()
    short = {name[:3]: i for i, name in enumerate(names, 1)} if min(map(len, words)) <= 4 else {}
    full = {name: i for i, name in enumerate(names, 1)} if max(map(len, words)) > 4 else {}
    return "%b", tags[0], {**short, **full, **{w: _month(w, names) for w in sorted(words)}}


def parse(cells: Sequence[str], format: str, months: dict[str, int]) -> pd.DatetimeIndex:
    """The cells as UTC (naive ones as if they were UTC); NaT where the format does not fit."""
    words = pd.Series(list(cells), dtype=object)
    if months:
        names = re.compile("|".join(map(re.escape, sorted(months, key=len, reverse=True))), re.IGNORECASE)
        words = words.map(lambda w: names.sub(lambda m: f"{months[m.group().lower()]:02d}", w))
        format = format.replace("%b", "%m").replace("%B", "%m")
    if format == "iso":
        words = words.where([bool(_ISO.fullmatch(w)) for w in words], "?")
    try:
        read = pd.to_datetime(words, format="ISO8601" if format == "iso" else format, errors="coerce", utc=True)
    except (ValueError, OverflowError):
        return pd.DatetimeIndex([pd.NaT] * len(words), tz="UTC")
    return pd.DatetimeIndex(read)


def _backwards(times: pd.DatetimeIndex) -> float:
    """Share of steps that go back in time, in the order of the rows."""
    steps = np.diff(times.dropna().asi8)
    return float((steps < 0).mean()) if len(steps) else 0.0


def _order(cells: list[str], template: str) -> tuple[str, str, Sure, str]:
    """(format, why, how sure, other format) of a layout whose day and month may change places."""
    day_first, month_first = (template.replace("%1", a).replace("%2", b) for a, b in (("%d", "%m"), ("%m", "%d")))
    pairs = [m for m in map(_NUMERIC.fullmatch, cells) if m is not None]
    first, second = (sum(int(m[g]) > 12 for m in pairs) for g in ("one", "two"))
    if first and not second:
        return day_first, f"{first:,} cells have a first number above 12: the day comes first", "sure", ""
    if second and not first:
        return month_first, f"{second:,} cells have a second number above 12: the month comes first", "sure", ""
    chosen, other = (day_first, month_first) if first >= second else (month_first, day_first)
    if first and second:
        why = f"{first:,} cells read only with the day first, {second:,} only with the month first"
        return chosen, why, "unsure", other
    back = _backwards(parse(cells, day_first, {})), _backwards(parse(cells, month_first, {}))
    if abs(back[0] - back[1]) > 0.02 and min(back) < 0.02:
        chosen, other = (day_first, month_first) if back[0] < back[1] else (month_first, day_first)
        return chosen, "no number is above 12, but only so do the rows follow each other in time", "likely", other
    if "%1." in template:
        return day_first, "no number is above 12; with dots the day usually comes first", "likely", month_first
    return day_first, "no number is above 12: day or month first cannot be told", "unsure", month_first


def _epoch(name: str, cells: Sequence[str]) -> Times | None:
    hinted = re.search(_EPOCH_NAME, name, re.IGNORECASE)
    digits = [c for c in cells if re.fullmatch(r"[0-9]{9,19}(?:\.[0-9]+)?", c)]
    if not hinted or len(digits) < 0.95 * len(cells):
        return None
    for what, factor in _EPOCHS.items():
        if all(6.3e8 <= float(c) * factor <= 2.3e9 for c in digits):  # 1990 to 2042
            when = pd.Timestamp(float(digits[0]) * factor, unit="s", tz="UTC").floor("s").isoformat()
            why = f"numbers that are {what} since 1970, such as {digits[0]} ({when})"
            return Times((), why, "likely", len(cells) - len(digits), zoned=True, epoch=factor)
    return None


def times_of(name: str, cells: Sequence[str]) -> Times | None:
    """How the (filled) cells of a column write times, or None when fewer than four in five are times."""
    if not cells:
        return None
    if found := _epoch(name, cells):
        return found
    seen = [layout(c) for c in cells]
    counts = Counter(s[0] for s in seen if s is not None)
    if sum(counts.values()) < 0.8 * len(cells):
        return None
    if counts["iso"] and all(len(c) == 8 for c in cells):  # 20250131: a date, or only a number
        valid = parse(cells, "iso", {})
        if valid.isna().any() or not valid.year.isin(range(1990, 2041)).all():
            return None
    words = {s[1] for s in seen if s is not None and s[1]}
    named = month_names(words) if words else ("%b", "", {})
    if named is None:
        return None
    form, language, months = named
    formats: list[str] = []
    reasons: list[str] = []
    doubt, other = "", ""
    sure: Sure = "sure"
    for template, n in counts.most_common(3):
        if n < 0.02 * len(cells) and formats:
            continue
        chosen = template.replace("%b", form)
        if "%1" in template:
            mine = [c for c, s in zip(cells, seen, strict=True) if s is not None and s[0] == template]
            chosen, why, sure, other = _order(mine, template)
            reasons.append(why)
            doubt = doubt or (f"{chosen} or {other}? {why}" if sure == "unsure" else "")
        formats.append(chosen)
    fits = np.zeros(len(cells), dtype=bool)
    times = pd.Series(pd.NaT, index=range(len(cells)), dtype="datetime64[ns, UTC]")
    for chosen in formats:
        read = parse(cells, chosen, months)
        times = times.where(fits | read.isna(), pd.Series(read))
        fits |= np.asarray(read.notna())
    if fits.sum() < 0.8 * len(cells):
        return None
    odd = [c for c, ok in zip(cells, fits, strict=True) if not ok]
    told = f"{int(fits.sum()):,} of {len(cells):,} cells fit"
    told += f", not: {listing(dict.fromkeys(odd), 3)}" if odd else f", such as {cells[0]}"
    if language and language != "en":
        told += f"; names of months as in '{language}'"
    zoned = "%z" in formats[0] or (formats[0] == "iso" and bool((m := _ISO.fullmatch(cells[0])) and m[1]))
    return Times(
        tuple(formats),
        "; ".join([told, *reasons]),
        sure if not odd or sure == "unsure" else "likely",
        len(odd),
        months,
        language,
        zoned,
        bool((times.dropna() == times.dropna().dt.normalize()).all()),
        doubt=doubt,
        other=other,
    )
