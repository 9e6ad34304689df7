"""Words that a mapping puts into columns with codes: `corective` is told when the site is loaded, not row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from plant.cells import FALSE, TRUE
from plant.crosswalks import SiteFiles
from plant.errors import did_you_mean, listing
from plant.forms import Form
from plant.site_inheritance import Merged, Place, word
from plant.site_problems import Problems
from plant.tables import Column

_MOST = 20  # words of one crosswalk that are told


class Words:
    """Checks the words of the mapping itself: constants, replacements, defaults, crosswalks. Empty ones are allowed.

    A crosswalk may serve several columns, so it is looked at when all of them are known: a word is wrong where none of
    them takes it.
    """

    def __init__(self, merged: Merged, problems: Problems, files: SiteFiles, walks: dict[str, pd.DataFrame]):
        self._merged, self._problems, self._files, self._walks = merged, problems, files, walks
        self._uses: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}

    def used(self, form: Form, at: Place, target: str = "", column: Column | None = None) -> None:
        """A form and where its words go: `target` names the table's column; without one any word will do."""
        codes = _codes(column) if column is not None else ()
        if codes:
            for spot, found in _last_words(form, at):
                if found and not _allowed(found, codes, column):
                    self._problems.choice(spot, found, codes)
        walk = self._walks.get(str(form.crosswalk)) if form.crosswalk is not None else None
        if walk is not None and (form.take is not None or len(walk.columns) == 1):
            taken = form.take or str(walk.columns[0])
            self._uses.setdefault((str(form.crosswalk), taken), {})[target] = codes

    def check(self) -> None:
        """Tell the words of crosswalks that no column takes."""
        for (name, taken), uses in self._uses.items():
            walk = self._walks[name]
            if taken not in walk.columns or not all(uses.values()):
                continue
            codes = list(dict.fromkeys(code for several in uses.values() for code in several))
            wrong: dict[str, list[str]] = {}
            for code, found in walk[taken].items():
                if found and found not in codes and not (set(codes) <= TRUE | FALSE and found.lower() in codes):
                    wrong.setdefault(str(found), []).append(str(code))
            self._tell(name, taken, wrong, codes, uses)

    def _tell(self, name: str, taken: str, wrong: dict[str, list[str]], codes: list[str], uses: Iterable[str]) -> None:
        place = Place(self._merged.root, "crosswalks", name)
        into = f", which goes into {listing(uses, 3)}; allowed: {listing(codes)}"
        for found, those in list(wrong.items())[:_MOST]:
            also = f" (so do {listing(those[1:], 3)})" if those[1:] else ""
            told = f"found '{found}'{also}{into}{did_you_mean(found, codes)}"
            written = (place / those[0]) if place.has(those[0]) else None
            line = self._files.codes.get((name, those[0]))
            if written is None and line is not None:
                spot = f"file '{line[0]}', line {line[1]}, code '{those[0]}', column '{taken}'"
                self._problems.add(place / "file", f"{spot}: {told}")
            else:
                self._problems.add(written or place, told)
        if len(wrong) > _MOST:
            self._problems.add(place, f"{len(wrong) - _MOST:,} more words{into}")


def _codes(column: Column) -> tuple[str, ...]:
    return ("true", "false", "yes", "no", "1", "0") if column.kind == "bool" else column.codes


def _allowed(found: str, codes: tuple[str, ...], column: Column | None) -> bool:
    return (found.lower() if column is not None and column.kind == "bool" else found) in codes


def _last_words(form: Form, at: Place) -> Iterator[tuple[Place, str]]:
    """Words of the form that no later step changes."""
    if form.crosswalk is not None:
        yield at / "default", form.default or ""
        return
    for cell, found in form.replace.items():
        yield at / "replace" / cell, found
    if form.replace or form.split is not None or form.pattern is not None:
        return
    if form.constant is not None:
        yield at / "constant", word(form.constant)
    if form.lookup is not None:
        yield at / "lookup" / "found", form.lookup.found or ""
        yield at / "lookup" / "otherwise", form.lookup.otherwise or ""
