"""The text of a starter: `site.yaml` with what was guessed, why, and what is not known; crosswalks; README."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from plant.errors import listing
from plant.guess import ColumnGuess, Guess
from plant.guess_words import SYSTEMS
from plant.starter_items import Draft, Walk

_PLAIN = re.compile(r"[^\W\d][\w./-]*(?: [\w./-]+)*")
_ORDER = ("url", "query", "sheet", "delimiter", "encoding", "decimal", "thousands", "missing", "header", "header_line")


def scalar(value: Any) -> str:
    """A value as it stands in YAML; text in quotes wherever it could be read as something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {scalar(v)}" for k, v in value.items()) + "}"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.isprintable() and text not in ("true", "false", "null"):
        return text
    escaped = "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else _escape(c) for c in text)
    return f'"{escaped}"'


def _escape(char: str) -> str:
    return "\\t" if char == "\t" else f"\\U{ord(char):08x}"


def comment(text: str, indent: int = 0) -> str:
    """One comment line, whatever stands in the text."""
    return " " * indent + "# " + "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _beside(line: str, text: str) -> str:
    return line + "  " + comment(text) if text else line


def site_yaml(
    name: str, guesses: Sequence[Guess], drafts: Sequence[Draft], walks: Sequence[Walk], left_out: Mapping[str, str],
    time_zone: str | None,
) -> str:  # fmt: skip
    """The commented site.yaml."""
    lines = [
        comment(f"Starter of the site {name}: what `steadyline site new` guessed from the exports, and why."),
        comment("A guess is not knowledge. Look at every line, mend it, and take its TODO away."),
        comment("docs/reference/site-yaml.md explains each key."),
        f"site: {scalar(name)}",
        _beside(f"title: {scalar(name)}", "TODO the name that people use"),
        "simulated: false",
        f"time_zone: {time_zone}" if time_zone else comment("time_zone: Europe/Vienna  TODO shown beside UTC"),
        comment("currency: EUR  # TODO the currency of costs, if it is another"),
        comment("assumptions:  # TODO what the mapping had to assume; printed in the readiness report"),
        "",
        "sources:",
    ]
    tables = {d.guess.name: d.table for d in reversed(drafts)}
    for guess in guesses:
        lines += [*_source(guess, tables.get(guess.name, ""), time_zone), ""]
    lines += [comment(f"left out: {file}: {why}", 2) for file, why in left_out.items()]
    used = [w for w in walks if w.words]
    if used:
        lines += ["", "crosswalks:  # source code -> word of the plant language; each row says whether it was reviewed"]
        for walk in used:
            form = {"file": f"crosswalks/{walk.name}.csv", "key": "code"}
            lines.append(_beside(f"  {walk.name}: {scalar(form)}", _walk_note(walk)))
    lines += ["", "tables:"]
    for table in dict.fromkeys(d.table for d in drafts):
        mine = [d for d in drafts if d.table == table]
        live = any(d.usable for d in mine)
        lines.append(f"  {table}:" if live else comment(f"{table}:", 2))
        for draft in mine:
            text = _item(draft)
            lines += text if draft.usable else [comment_block(line) for line in text]
        lines.append("")
    for guess in guesses:
        if guess.name not in tables:
            lines.append(comment(f"TODO source {guess.name} feeds no table yet; its names tell none. It has:", 2))
            lines += [comment(_told(c), 4) for c in guess.columns[:60]]
    return "\n".join(lines).rstrip() + "\n"


def comment_block(line: str) -> str:
    """A line of YAML that is not in force, two spaces in: take `# ` away and it is."""
    return "  # " + line[2:] if line.startswith("  ") else "# " + line


def _walk_note(walk: Walk) -> str:
    empty = sum(not row[0] for row in walk.words.values())
    seen = "" if walk.complete else "; only the sample was read: more codes will follow"
    return f"{len(walk.words):,} code(s)" + (f", TODO {empty:,} without a word" if empty else "") + seen


def _source(guess: Guess, table: str, time_zone: str | None) -> list[str]:
    said = "" if guess.whole else "about "
    files = f" in {len(guess.files):,} files" if len(guess.files) > 1 else ""
    lines = [
        f"  {guess.name}:",
        comment(f"{said}{guess.rows:,} rows{files}, {len(guess.columns)} columns", 4),
        _beside(f"    system: {scalar(SYSTEMS.get(table, 'unknown'))}", "TODO which of the plant's systems it is"),
    ]
    if guess.format != "sql":  # a database is named by its url
        why = guess.verdicts["files"].why if "files" in guess.verdicts else ""
        lines.append(_beside(f"    path: {scalar(guess.path)}", why))
    lines.append(f"    format: {guess.format}")
    for key in _ORDER:
        verdict = guess.verdicts.get(key) or (guess.verdicts.get("header") if key == "header_line" else None)
        why = f"{verdict.sure}: {verdict.why}" if verdict else ""
        if key in guess.keys:
            lines.append(_beside(f"    {key}: {scalar(guess.keys[key])}", why))
        elif verdict and key in ("encoding", "delimiter", "decimal") and verdict.value is not None:
            lines.append(comment(f"{key}: {scalar(verdict.value)} ({why})", 4))
        if verdict and verdict.doubt:
            lines.append(comment(f"TODO {key}: {verdict.doubt}", 4))
    for line, cells in guess.unfit[:3]:
        spot = f"line {line}" if line else "a line of the middle or the end"
        lines.append(comment(f"{spot} has {cells} cells, not {len(guess.columns)}: it will go to quarantine", 4))
    if any(c.kind == "time" and not c.zoned for c in guess.columns):
        if time_zone:
            lines.append(_beside(f"    time_zone: {time_zone}", "as given; a system that writes UTC needs `UTC` here"))
        else:
            lines.append(comment("time_zone: Europe/Vienna  TODO the times name no zone: connect refuses them so", 4))
    return lines


def _told(column: ColumnGuess) -> str:
    return f"{column.name}: {column.kind}; {column.why}"


def _item(draft: Draft) -> list[str]:
    guess = draft.guess
    lines = [_beside(f"    - source: {scalar(guess.name)}", draft.why)]
    lines += [comment(f"TODO {what}", 6) for what in draft.todo]
    if draft.each:
        lines.append("      each:")
        lines += [f"        - {scalar(row)}" for row in draft.each]
    lines.append("      columns:")
    lines += [_beside(f"        {scalar(target)}: {scalar(form)}", why) for target, form, why in draft.columns]
    lines += [comment(f"not mapped: {_told(c)}", 8) for c in draft.unmapped[:80]]
    return lines


def walk_csv(walk: Walk) -> str:
    """A crosswalk file: code, the word(s), review status, and where the code was found."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["code", *walk.columns, "review", "note"])
    for code, row in walk.words.items():
        writer.writerow([code, *row, "draft", walk.notes[code]])
    return out.getvalue()


def readme(name: str, guesses: Sequence[Guess], drafts: Sequence[Draft], notes: Sequence[str]) -> str:
    """A README to be filled in."""
    lines = [f"# {name}", "", "TODO what this plant is, and whose data these are.", ""]
    lines += ["| source | rows | feeds | from |", "|---|---|---|---|"]
    for guess in guesses:
        feeds = [d.table + ("" if d.usable else " (not yet)") for d in drafts if d.guess.name == guess.name]
        about = "" if guess.whole else "about "
        lines.append(f"| `{guess.name}` | {about}{guess.rows:,} | {listing(feeds) or 'TODO'} | TODO who exports it |")
    lines += ["", "## What is open", ""]
    lines += [f"- [ ] {' '.join(note.split())}" for note in notes] or ["Nothing was found open."]
    return "\n".join([*lines, "", "## What it can and cannot show", "", "TODO", ""])
