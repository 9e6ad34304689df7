"""From a proposal to a mapping item: forms for each column, crosswalks with the codes that were found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plant.errors import listing
from plant.guess import ColumnGuess, Guess
from plant.guess_words import code_word
from plant.starter_match import Proposal, split_tag
from plant.tables import TABLES

# Columns of open vocabulary that are worth a crosswalk; columns with codes of the contract always get one.
_WALKED = ("equipment_id", "parent_id", "equipment_class", "failure_mode", "cause", "reason", "step", "attribute")
_SHARED = {"equipment_id": "equipment", "parent_id": "equipment"}
_MOST_CODES = 2000

Codes = Mapping[tuple[str, str], Mapping[str, int]]  # (source, column) -> code -> rows


@dataclass
class Walk:
    """A crosswalk: code -> words of `columns`; notes: where each code was found."""

    name: str
    columns: tuple[str, ...]
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True)
class Draft:
    """One mapping item. columns: (canonical column, form, why); todo: what a person has to do before it can be used."""

    guess: Guess
    table: str
    why: str
    columns: list[tuple[str, Any, str]]
    each: list[dict[str, Any]]
    todo: list[str]
    usable: bool
    unmapped: list[ColumnGuess]


def needs_codes(proposal: Proposal) -> list[str]:
    """Source columns whose every code the crosswalks should list."""
    contract = TABLES[proposal.table]
    wanted = [
        source for target, source in proposal.columns.items()
        if target in _WALKED or contract.column(target).codes or contract.column(target).kind == "bool"
    ]  # fmt: skip
    if proposal.table in ("readings", "signals") and not proposal.values:
        wanted.append(proposal.columns["signal"])
    return list(dict.fromkeys(wanted))


def draft(proposal: Proposal, codes: Codes, complete: bool, walks: dict[str, Walk]) -> Draft:
    """The item, and its codes added to `walks`."""
    guess, table = proposal.guess, TABLES[proposal.table]
    columns: list[tuple[str, Any, str]] = []
    todo = [f"required column missing: {name} ({_meaning(table.name, name)})" for name in proposal.missing]
    by_tag = _by_tag(proposal)
    each = _wide(proposal) if proposal.values else []
    for target in table.names:
        source = proposal.columns.get(target)
        if by_tag and target in ("equipment_id", "signal", "unit") and (source in (None, by_tag)):
            if target != "unit":
                _add_tags(walks, guess, by_tag, codes, complete)
                columns.append((target, {"column": by_tag, "crosswalk": "tags", "take": target}, "read from the tag"))
        elif source is not None:
            form, why, open_ = _form(proposal, target, source, codes, complete, walks)
            todo += open_
            if target in proposal.numbers:
                filled = next(c.filled for c in guess.columns if c.name == source)
                why = f"different in each of the {filled:,} rows looked at, so taken as the key"
                why += "" if guess.whole else "; TODO is it different in all of them?"
            columns.append((target, form, why))
        elif target in proposal.made_up:
            why = "no column is a number of its own: made of the row's content, so a corrected row counts as a new one"
            columns.append((target, {"column": "@content"}, why))
        elif target in dict(proposal.constants):
            word = dict(proposal.constants)[target]
            columns.append((target, {"constant": word}, "TODO only the file's name says so"))
        elif each and target in ("equipment_id", "signal", "value"):
            form = {"column": "${column}"} if target == "value" else {"constant": f"${{{target.split('_')[0]}}}"}
            columns.append((target, form, "from the list above"))
    if each and "equipment_id" not in proposal.columns and len({row["equipment"] for row in each}) == 1:
        todo.append("no column names the machine: one is assumed for the whole export")
    if table.open_values:
        columns += [
            (re.sub(r"\W+", "_", c.name.lower()), {"column": c.name}, "TODO unit; recorded with the step")
            for c in guess.columns
            if c.kind == "number" and c.name not in proposal.mapped and re.match("[A-Za-z]", c.name)
        ]
    why = f"proposed by names and content; {proposal.other} would do too" if proposal.other else "by names and content"
    taken = {f.get("column") for _, f, _ in columns if isinstance(f, dict)} | set(proposal.values)
    joined = " ".join(str(f.get("template", "")) for _, f, _ in columns if isinstance(f, dict))
    unmapped = [c for c in guess.columns if c.name not in taken | proposal.mapped and f"{{{c.name}}}" not in joined]
    return Draft(guess, table.name, why, columns, each, todo, not proposal.missing, unmapped)


def equipment_draft(drafts: list[Draft], walks: dict[str, Walk]) -> Draft | None:
    """The machines that other exports name, as equipment, where no export lists them: classes go into the crosswalk."""
    walk = walks.get("equipment")
    if walk is None or any(d.table == "equipment" for d in drafts):
        return None
    named = [
        (d.guess, form["column"]) for d in drafts if d.usable
        for target, form, _ in d.columns if target == "equipment_id" and form.get("crosswalk") == "equipment"
    ]  # fmt: skip
    if not named:
        return None
    walk.columns = ("equipment_id", "equipment_class")
    for code, row in walk.words.items():
        letters = re.sub(r"[\d\W_]+", "", code)
        walk.words[code] = (row[0], code_word("equipment.equipment_class", letters))
    guess, column = max(named, key=lambda n: next(c.distinct for c in n[0].columns if c.name == n[1]))
    forms = [
        (target, {"column": column, "crosswalk": "equipment", "take": target}, "") for target in walk.columns
    ]  # fmt: skip
    open_ = [code for code, row in walk.words.items() if not row[1]]
    todo = ["no export lists the machines: these are the ones that another export names; check their classes"]
    if open_:
        todo = [f"no export lists the machines: fill equipment_class of {listing(open_, 4)} in "
                "crosswalks/equipment.csv, then take the `# ` away"]  # fmt: skip
    return Draft(guess, "equipment", "the machines that this export names", forms, [], todo, not open_, [])


def _meaning(table: str, name: str) -> str:
    return TABLES[table].column(name).meaning if name in TABLES[table].names else "one of them"


def _by_tag(proposal: Proposal) -> str:
    """The source column that names equipment and signal in one word, or nothing."""
    if proposal.table not in ("readings", "signals") or proposal.values:
        return ""
    signal = proposal.columns.get("signal", "")
    return signal if signal and proposal.columns.get("equipment_id") == signal else ""


def _wide(proposal: Proposal) -> list[dict[str, Any]]:
    """One row for each signal column of a wide export."""
    names = list(proposal.values)
    if "equipment_id" in proposal.columns:
        return [{"column": n, "signal": _slug(n)} for n in names]
    split = [re.split(r"[.:/_ -]", n, maxsplit=1) for n in names]
    heads = [s[0] for s in split]
    if all(len(s) == 2 and s[1] for s in split) and (
        all(re.search("[0-9]", h) for h in heads) or min(map(heads.count, heads)) > 1 < len(set(heads))
    ):
        return [{"column": n, "equipment": s[0], "signal": _slug(s[1])} for n, s in zip(names, split, strict=True)]
    return [{"column": n, "equipment": proposal.guess.name.replace("_", "-"), "signal": _slug(n)} for n in names]


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_") or "signal"


def _form(
    proposal: Proposal, target: str, source: str, codes: Codes, complete: bool, walks: dict[str, Walk]
) -> tuple[Any, str, list[str]]:
    """(form, why, what is open) of one column."""
    guess, contract = proposal.guess, TABLES[proposal.table].column(target)
    column = next(c for c in guess.columns if c.name == source)
    if contract.kind == "time":
        return _time_form(guess, column)
    found = codes.get((guess.name, source), {})
    walked = target in _WALKED or bool(contract.codes) or contract.kind == "bool"
    if walked and found and len(found) <= _MOST_CODES:
        name = _SHARED.get(target, target if target in _WALKED else f"{proposal.table}_{target}")
        word = "equipment_id" if name == "equipment" else target
        walk = walks.setdefault(name, Walk(name, (word,)))
        walk.complete &= complete
        for code, n in found.items():
            meant = code_word(f"{proposal.table}.{target}", code)
            if not meant and not contract.codes and contract.kind != "bool":
                meant = code if name == "equipment" or re.search("[0-9]", code) else _slug(code)
            walk.words.setdefault(code, (meant,))
            _note(walk, code, f"{n:,} in {guess.name}.{source}")
        odd = [c for c in found if not walk.words[c][0]]
        why = f"TODO no word for {listing(odd, 4)}: see crosswalks/{name}.csv" if odd else column.why
        return {"column": source, "crosswalk": name, "take": word}, why, []
    why = column.why + (f"; unit here: {contract.unit}" if contract.unit and contract.kind == "float" else "")
    return {"column": source}, why + ("; TODO empty in the sample" if column.kind == "empty" else ""), []


def _note(walk: Walk, code: str, text: str) -> None:
    walk.notes[code] = f"{walk.notes[code]}; {text}" if code in walk.notes else text


def _time_form(guess: Guess, column: ColumnGuess) -> tuple[Any, str, list[str]]:
    times = column.times
    if times is None:  # typed, or empty
        return {"column": column.name}, column.why + ("; TODO the format" if column.kind == "empty" else ""), []
    if times.epoch is not None:
        offset = {"column": column.name, "factor": times.epoch, "unit": "s"}
        return {"constant": "1970-01-01T00:00:00Z", "offset": offset}, column.why, []
    form: dict[str, Any] = {"column": column.name}
    layout = times.formats[0] if len(times.formats) == 1 else list(times.formats)
    place = [c.name for c in guess.columns].index(column.name)
    beside = guess.columns[place + 1] if place + 1 < len(guess.columns) else None
    why = column.why
    if times.date_only and beside is not None and beside.clock and isinstance(layout, str):
        form = {"template": f"{{{column.name}}}T{{{beside.name}}}"}
        layout = "iso" if layout == "iso" and "-" in next(iter(column.words), "-") else f"{layout}T{beside.clock}"
        why = f"date and time stand in two columns; {why}"
    form["format"] = layout
    if times.months:
        form["months"] = times.months
    todo = f"{column.name}: day or month first? {times.formats[0]} was taken, {times.other} is the other; {column.why}"
    return form, why, [todo] if times.doubt else []


def _add_tags(walks: dict[str, Walk], guess: Guess, tag: str, codes: Codes, complete: bool) -> None:
    walk = walks.setdefault("tags", Walk("tags", ("equipment_id", "signal")))
    found = codes.get((guess.name, tag), {})
    walk.complete &= complete
    every = list(found)
    for code, n in found.items():
        walk.words.setdefault(code, split_tag(code, [t for t in every if t != code][:200]))
        text = f"{n:,} in {guess.name}.{tag}"
        if text not in walk.notes.get(code, ""):
            _note(walk, code, text)
