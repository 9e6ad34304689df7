"""Crosswalks: the codes of the sources in the plant's language, from `site.yaml` or from CSV files with a review.

A CSV file may say of each code whether somebody has looked at it, in the columns `review` (reviewed, draft, rejected;
empty: draft), `reviewed_by`, `reviewed_on` (YYYY-MM-DD) and `note`. They are no words; a rejected code is not listed.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from plant.errors import did_you_mean, listing
from plant.site_inheritance import Given, Layer, Merged, Place, is_below, is_file, word
from plant.site_problems import Problems

REVIEW_COLUMNS = ("review", "reviewed_by", "reviewed_on", "note")
REVIEWS = ("reviewed", "draft", "rejected")
REJECTED = "rejected"


@dataclass
class SiteFiles:
    """The files of a site's folders. hashes: SHA-256 of every one that was read, in that order.

    codes: (crosswalk, code) -> the file and the line that list it, for messages.
    """

    problems: Problems
    hashes: dict[Path, str] = field(default_factory=dict)
    codes: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def add(self, path: Path, content: bytes) -> None:
        self.hashes[path] = hashlib.sha256(content).hexdigest()

    @property
    def digest(self) -> str:
        """Changes with the content of any of them."""
        return hashlib.sha256("".join(self.hashes.values()).encode()).hexdigest()

    def rows(self, layer: Layer, name: Any, place: Place) -> list[dict[str, str]]:
        """The rows of a CSV file beside the `site.yaml` that names it; none where something is wrong with it."""
        return [row for _, row in self.numbered(layer, name, place)]

    def numbered(self, layer: Layer, name: Any, place: Place) -> list[tuple[int, dict[str, str]]]:
        """Those rows, each with its line."""
        if not isinstance(name, str) or not name.strip():
            self.problems.add(place, f"found {name!r}; allowed: the name of a CSV file below the site folder")
            return []
        folder, path = layer.folder, layer.folder / name
        if not is_below(path, folder):
            self.problems.add(place, f"'{name}' lies outside the site folder; allowed: a file below it")
            return []
        if not is_file(path):
            there = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.csv"))
            beside = listing(there) or "no CSV files in the site folder"
            self.problems.add(place, f"file '{name}' does not exist; there are: {beside}{did_you_mean(name, there)}")
            return []
        content = path.read_bytes()
        self.add(path, content)
        try:
            reader = csv.DictReader(content.decode("utf-8-sig").splitlines())
            rows: list[tuple[int, dict[str, str]]] = []
            for row in reader:
                if None in row or None in row.values():
                    what = f"file '{name}', line {reader.line_num}: has not as many fields as its header"
                    self.problems.add(place, what)
                    return []
                clean = {str(k).strip(): str(v).strip() for k, v in row.items()}
                for what in _review_problems(clean):
                    self.problems.add(place, f"file '{name}', line {reader.line_num}: {what}")
                rows.append((reader.line_num, clean))
        except (UnicodeDecodeError, csv.Error) as e:
            self.problems.add(place, f"file '{name}' cannot be read as UTF-8 CSV: {e}")
            return []
        if not rows:
            self.problems.add(place, f"file '{name}' has no rows")
        return rows


def accepted(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows that nobody rejected, without what says so."""
    return [
        {k: v for k, v in row.items() if k not in REVIEW_COLUMNS} for row in rows if row.get("review") != REJECTED
    ]


def read_crosswalks(
    merged: Merged, problems: Problems, files: SiteFiles
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame]]:
    """Words and reviews by the name of the crosswalk, both frames of text indexed by the code.

    A crosswalk written in place has the one column `value`. Only files with a column `review` have a review: its
    columns are REVIEW_COLUMNS, its rows all codes of the file, rejected ones too; an empty status has become `draft`.
    """
    words, reviews = {}, {}
    section = merged.root.child("crosswalks")
    for key, given in section.keys.items() if section is not None else ():
        name = word(key)
        place = Place(merged.root, "crosswalks", name)
        frame, review = _crosswalk(name, given, place, problems, files)
        words[name] = frame
        if review is not None:
            reviews[name] = review
    return words, reviews


def _crosswalk(
    name: str, given: Given, place: Place, problems: Problems, files: SiteFiles
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    if not given.keys:
        what = "code: word pairs, or {file: FILE, key: COLUMN}"
        problems.add(place, f"found {given.plain()!r}; allowed: {what}")
        return _words({}), None
    file = given.keys.get("file")
    if file is None:
        return _words(_codes(given, place, problems)), None
    # Codes that an extending site lays over the words of the file; beside it in one file they are a mistake.
    layer = file.layer
    over = {k: v for k, v in given.keys.items() if k not in ("file", "key") and v.layer is not layer}
    for extra in set(given.keys) - {"file", "key"} - set(over):
        near = did_you_mean(word(extra), ["file", "key"])
        problems.add(place / extra, f"unknown key '{extra}'; allowed: file, key{near}")
    numbered = files.numbered(layer, file.plain(), place / "file")
    if not numbered:
        return _words({}), None
    rows = [row for _, row in numbered]
    key = word(given.keys["key"].plain()) if "key" in given.keys else next(iter(rows[0]))
    if key not in rows[0]:
        problems.choice(place / "key", key, list(rows[0]))
        return _words({}), None
    codes = pd.Index([row[key] for row in rows])
    twice = codes[codes.duplicated()].unique()
    if len(twice):
        problems.add(place / "file", f"file '{file.value}' lists these codes twice: {listing(twice)}")
        return _words({}), None
    files.codes |= {(name, row[key]): (str(file.value), line) for line, row in numbered}
    columns = [c for c in rows[0] if c != key and c not in REVIEW_COLUMNS]
    if not columns:
        problems.add(place / "file", f"file '{file.value}' has no column of words beside '{key}'")
        return _words({}), None
    frame = pd.DataFrame([{key: row[key]} | {c: row[c] for c in columns} for row in rows]).set_index(key)
    review = _reviews(rows, key) if "review" in rows[0] else None
    if review is not None:
        frame = frame[(review["review"] != REJECTED).to_numpy()]
    if over:
        frame, review = _laid_over(frame, review, Given(over, given.layer), place, problems)
    return frame, review


def _reviews(rows: list[dict[str, str]], key: str) -> pd.DataFrame:
    frame = pd.DataFrame([{c: row.get(c, "") for c in REVIEW_COLUMNS} for row in rows], index=[r[key] for r in rows])
    frame.index.name = key
    return frame.replace({"review": {"": "draft"}})


def _laid_over(
    frame: pd.DataFrame, review: pd.DataFrame | None, over: Given, place: Place, problems: Problems
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Codes of an extending site over the words of a file: a word replaces or adds, null takes a code away."""
    if len(frame.columns) > 1:
        several = f"the file has several columns of words ({listing(frame.columns)}); allowed: a file of your own"
        for code in over.keys:
            problems.add(place / code, several)
        return frame, review
    known = [str(c) for c in frame.index]
    for code, given in over.keys.items():
        if given.value is None and word(code) not in known:
            what = f"null removes nothing: allowed: {listing(known)}{did_you_mean(word(code), known)}"
            problems.add(place / code, what)
    removed = [word(code) for code, given in over.keys.items() if given.value is None]
    codes = _codes(Given({k: v for k, v in over.keys.items() if v.value is not None}, over.layer), place, problems)
    kept = frame[~frame.index.isin([*removed, *codes])]
    added = pd.DataFrame({frame.columns[0]: list(codes.values())}, index=pd.Index(list(codes), name=frame.index.name))
    if review is not None:
        review = review[~review.index.isin([*removed, *codes])]
    return pd.concat([kept, added.astype(object)]), review


def _codes(given: Given, place: Place, problems: Problems) -> dict[str, str]:
    for code, one in given.keys.items():
        if isinstance(one.value, dict | list):
            problems.add(place / code, f"found {one.plain()!r}; allowed: one word")
    return {word(code): word(one.plain()) for code, one in given.keys.items()}


def _words(codes: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"value": pd.Series(list(codes.values()), index=list(codes), dtype=object)})


def _review_problems(row: dict[str, str]) -> list[str]:
    out = []
    status = row.get("review", "")
    if status and status not in REVIEWS:
        out.append(f"review: found '{status}'; allowed: {listing(REVIEWS)}{did_you_mean(status, REVIEWS)}")
    day = row.get("reviewed_on", "")
    if day:
        try:
            on = datetime.datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=datetime.UTC)
        except ValueError:
            out.append(f"reviewed_on: found '{day}'; allowed: a day such as 2025-03-31")
        else:
            if on > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1):
                out.append(f"reviewed_on: found '{day}', which lies in the future")
    return out
