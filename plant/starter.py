"""`steadyline site new`: from a folder of strange exports to a commented site folder that a person mends.

What is not known is not made up: it stands as TODO. A mapping item whose required columns were not found is written as
a comment, so that the rest can be connected. No time zone is ever guessed.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plant.cells import text_of
from plant.errors import SiteError, SteadylineError, listing
from plant.exports import find_exports, read
from plant.guess import Guess, guess
from plant.site import load_site
from plant.sources import Source
from plant.sources import time_zone as known_zone
from plant.starter_items import Draft, Walk, draft, equipment_draft, needs_codes
from plant.starter_match import Proposal, propose
from plant.starter_yaml import readme, site_yaml, walk_csv

_READ_WHOLE = 64 << 20  # bytes of a source; larger ones give the codes of their sample only


@dataclass(frozen=True)
class Starter:
    """folder: the new site; data: the folder to connect it with; notes: what is open, the most urgent first.

    loads: whether site.yaml can be loaded as it is. tables: source -> table, "" where none was found.
    """

    folder: Path
    data: Path
    guesses: tuple[Guess, ...]
    tables: dict[str, str]
    waiting: dict[str, tuple[str, ...]]  # source -> required columns that were not found
    left_out: dict[str, str]
    notes: tuple[str, ...]
    loads: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder), "data": str(self.data), "loads": self.loads, "tables": self.tables,
            "waiting": {k: list(v) for k, v in self.waiting.items()}, "left_out": self.left_out,
            "notes": list(self.notes), "sources": [g.as_dict() for g in self.guesses],
        }  # fmt: skip


def new_site(name: str, paths: list[Path], out: Path, time_zone: str | None) -> Starter:
    """Write a starter for the exports in `paths` into the new folder `out`: all of it or nothing.

    Raises SiteError when the name or zone is not allowed or `out` exists, SourceError when there is nothing to read.
    """
    _check(name, out, time_zone)
    found = guess([Path(p) for p in paths])
    if not found.sources:
        why = [f"{file}: {reason}" for file, reason in found.left_out.items()]
        raise SiteError("no_tables", "none of the files is a table", "exports such as CSV, Parquet or Excel", "", why)
    proposals = {g.name: propose(g) for g in found.sources}
    walks: dict[str, Walk] = {}
    drafts: list[Draft] = []
    for proposal in (p for p in proposals.values() if p is not None):
        codes, complete = _codes(proposal, found.root)
        drafts.append(draft(proposal, codes, complete, walks))
    machines = equipment_draft(drafts, walks)
    drafts += [machines] if machines is not None else []
    drafts.sort(key=lambda d: _TABLE_ORDER.index(d.table))
    notes = _notes(found.sources, drafts, walks, found.left_out, time_zone)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=_parent(out)) as temporary:
        folder = Path(temporary) / out.name
        (folder / "models").mkdir(parents=True)
        (folder / "models" / ".gitkeep").touch()
        text = site_yaml(name, found.sources, drafts, list(walks.values()), found.left_out, time_zone)
        (folder / "site.yaml").write_text(text, encoding="utf-8")
        (folder / "crosswalks").mkdir()
        for walk in walks.values():
            if walk.words:
                (folder / "crosswalks" / f"{walk.name}.csv").write_text(walk_csv(walk), encoding="utf-8")
        problems = _problems(folder)
        notes = [*problems, *notes]
        (folder / "README.md").write_text(readme(name, found.sources, drafts, notes), encoding="utf-8")
        try:
            if out.exists():
                raise _exists(out)
            folder.rename(out)
        except OSError as e:
            raise _exists(out) from e
    return Starter(
        out, found.root, found.sources, {n: p.table if p else "" for n, p in proposals.items()},
        {n: p.missing for n, p in proposals.items() if p is not None and p.missing}, found.left_out, tuple(notes),
        not problems,
    )  # fmt: skip


# Master data first, as a person reads it.
_TABLE_ORDER = [
    "equipment", "signals", "readings", "events", "downtime", "work_orders", "spare_parts", "batches", "batch_steps",
    "genealogy", "lab_results", "deviations", "dispositions",
]  # fmt: skip


def _check(name: str, out: Path, time_zone: str | None) -> None:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise SiteError("bad_name", f"'{name}' is no name of a site", "letters, digits, - and _, such as dublin_2")
    try:
        known_zone(time_zone)
    except ValueError as e:
        raise SiteError("bad_time_zone", str(e)) from e
    if out.exists() or out.is_symlink():
        raise _exists(out)


def _exists(out: Path) -> SiteError:
    return SiteError("exists", f"{out} exists", "a folder that does not exist yet", "take another one with --out")


def _parent(out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    return out.parent


def _source(found: Guess) -> Source | None:
    """The source as connect will read it; None where this format is not read yet."""
    try:
        place = {} if found.format == "sql" else {"path": found.path}
        return Source.model_validate({"system": "unknown", "format": found.format, **place, **found.keys})
    except ValidationError:
        return None


def _codes(proposal: Proposal, root: Path) -> tuple[dict[tuple[str, str], Mapping[str, int]], bool]:
    """Every code of the columns that get a crosswalk, and whether the whole source was read for them."""
    found, wanted = proposal.guess, needs_codes(proposal)
    sampled = {c.name: c.words for c in found.columns if c.name in wanted}
    source = _source(found)
    size = sum(p.stat().st_size for p in found.files if p.is_file())
    counts: dict[str, Counter[str]] = {name: Counter() for name in wanted}
    complete = source is not None and size <= _READ_WHOLE and bool(wanted)
    if complete and source is not None:
        try:
            for export in find_exports(found.name, source, root):
                for rows in read(export, set(wanted)):
                    for name in wanted:
                        cells = text_of(rows.table[name])
                        for code, n in zip(cells.categories, _sizes(cells), strict=True):
                            counts[name][str(code)] += n
        except SteadylineError:
            complete = False
    words: dict[tuple[str, str], Mapping[str, int]] = {}
    for name in wanted:
        every = counts[name] if complete else sampled.get(name, {})
        words[found.name, name] = {c: n for c, n in Counter(every).most_common() if n and c and c.isprintable()}
    return words, complete


def _sizes(cells: Any) -> list[int]:
    counted = Counter(cells.codes.tolist())
    return [counted.get(i, 0) for i in range(len(cells.categories))]


def _problems(folder: Path) -> list[str]:
    """Why the starter does not load, in the words of the refusal."""
    try:
        load_site(folder)
    except SiteError as e:
        return [f"site.yaml does not load yet: {line}" for line in (e.details or [e.found])]
    return []


def _notes(
    sources: tuple[Guess, ...], drafts: list[Draft], walks: dict[str, Walk], left_out: dict[str, str], zone: str | None
) -> list[str]:
    notes = []
    naive = [g.name for g in sources if any(c.kind == "time" and not c.zoned for c in g.columns)]
    if naive and zone is None:
        notes.append(f"time zone of {listing(naive)}: their times name none; connect refuses them until site.yaml does")
    notes += [f"{d.guess.name} -> {d.table}: {what}" for d in drafts for what in d.todo]
    notes += [f"{g.name}: {doubt}" for g in sources for doubt in g.doubts if not doubt.startswith("column ")]
    for walk in walks.values():
        odd = [code for code, row in walk.words.items() if not all(row)]
        if odd:
            notes.append(f"crosswalks/{walk.name}.csv: no word proposed for {listing(odd, 6)}")
        elif walk.words:
            notes.append(f"crosswalks/{walk.name}.csv: {len(walk.words):,} draft(s) to review")
    taken = {d.guess.name for d in drafts}
    notes += [f"{g.name} feeds no table yet" for g in sources if g.name not in taken]
    return notes + [f"left out: {file}: {why}" for file, why in left_out.items()]


def render_starter(console: Console, starter: Starter) -> None:
    """What was guessed, what is open, what to do next."""
    table = Table(title=f"Starter {starter.folder}", title_justify="left")
    for name in ("source", "files", "rows", "read as", "feeds"):
        table.add_column(name, overflow="fold")
    for g in starter.guesses:
        keys = [g.format, *(f"{k} {v}" for k, v in g.keys.items() if k in ("delimiter", "encoding", "decimal"))]
        feeds = starter.tables[g.name] or "[yellow]no table found[/]"
        feeds += "  [yellow](waiting)[/]" if g.name in starter.waiting else ""
        about = "" if g.whole else "~"
        table.add_row(escape(g.name), str(len(g.files)), f"{about}{g.rows:,}", escape(", ".join(keys)), feeds)
    console.print(table)
    if starter.notes:
        where = escape(str(starter.folder / "README.md"))
        console.print(f"[bold]Open[/]: {len(starter.notes)}, all of them in {where}", highlight=False, soft_wrap=True)
        for note in starter.notes[:12]:
            console.print(f"  [yellow]-[/] {escape(note)}", highlight=False, soft_wrap=True)
        if len(starter.notes) > 12:
            console.print(f"  [dim]and {len(starter.notes) - 12} more[/]")
    console.print(
        f"Next: read and mend {starter.folder / 'site.yaml'}, then\n"
        f"  steadyline connect {starter.folder} --data {starter.data}",
        highlight=False, soft_wrap=True, markup=False,
    )  # fmt: skip
