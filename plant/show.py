"""What a connect found, for people at a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plant.connect import Connected
from plant.readiness_page import page
from plant.release import Released

_COLOUR = {"high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
_MOST_REASONS, _MOST_FINDINGS = 8, 12


def render_connected(console: Console, connected: Connected, report: Path | None = None) -> None:
    """Sources, rows per table, quarantine with reasons, findings; where the whole report lies."""
    site = connected.site
    label = " [bold magenta]SIMULATED[/]" if site.simulated else ""
    console.print(f"\n[bold]{escape(site.title)}[/]{label}  ·  data version {connected.snapshot.data_version}")
    for system in dict.fromkeys(s["system"] for s in connected.sources.values()):
        names = [
            f"{n} ({s['files']} file{'s' if s['files'] != 1 else ''})"
            for n, s in connected.sources.items()
            if s["system"] == system
        ]
        console.print(f"  from [bold]{escape(system)}[/]: {escape(', '.join(names))}")
    table = Table(title="Rows per table", title_justify="left")
    table.add_column("table")
    for name in ("read", "loaded", "already known", "quarantined"):
        table.add_column(name, justify="right")
    for name, count in connected.tables.items():
        aside = f"[yellow]{count.quarantined:,}[/]" if count.quarantined else "0"
        table.add_row(name, f"{count.read:,}", f"{count.loaded:,}", f"{count.known:,}", aside)
    console.print(table)
    for name, rows in connected.retired.items():
        console.print(
            f"[yellow]{rows:,}[/] row(s) of {name} are not what the mended mapping makes of their exports: taken out "
            "of this data version; earlier versions hold them"
        )
    _quarantine(console, connected)
    told = [f for f in connected.findings if f.severity != "info" and f.code not in ("quarantined", "unmapped_code")]
    if told:
        console.print("[bold]Readiness[/]")
        for finding in told[:_MOST_FINDINGS]:
            harms = f"  (weakens {', '.join(finding.harms)})" if finding.harms else ""
            console.print(
                f"  [{_COLOUR[finding.severity]}]{finding.severity}[/] {escape(finding.text)}[dim]{escape(harms)}[/]"
            )
        if len(told) > _MOST_FINDINGS:
            console.print(f"  [dim]and {len(told) - _MOST_FINDINGS} more: --json shows all[/]")
    if site.assumptions:
        console.print("[bold]Assumed by the mapping[/]")
        for text in site.assumptions:
            console.print(f"  [dim]- {escape(text)}[/]")
    if report is not None:
        console.print(f"Readiness report with plots: {report}", highlight=False, soft_wrap=True)


def write_report(connected: Connected, folder: Path) -> Path:
    """The readiness report with its plots, `<site>-readiness.html` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{connected.site.name}-readiness.html"
    path.write_text(page(connected.readiness, connected.site, connected.snapshot, connected.tables), encoding="utf-8")
    return path


def _quarantine(console: Console, connected: Connected) -> None:
    aside = connected.snapshot.quarantine()
    if not len(aside):
        console.print("Quarantine: no row was put aside.")
        return
    console.print(f"[bold]Quarantine[/]: {len(aside):,} row(s) put aside, nothing dropped")
    reasons = aside.groupby(["table", "reason"], sort=False).agg(
        n=("line", "size"), file=("file", "first"), line=("line", "first")
    )
    ordered = reasons.sort_values("n", ascending=False, kind="stable")
    for row in ordered.head(_MOST_REASONS).reset_index().itertuples():
        console.print(
            f"  [yellow]{row.n}×[/] {row.table}: {escape(str(row.reason))} "
            f"[dim]({escape(str(row.file))} line {int(float(str(row.line)))})[/]"
        )
    if len(ordered) > _MOST_REASONS:
        console.print(f"  [dim]and {len(ordered) - _MOST_REASONS} more reasons[/]")


def grouped(aside: pd.DataFrame) -> list[dict[str, Any]]:
    """Quarantined rows by table, source, file and reason, the most frequent first, then by where they stand."""
    if not len(aside):
        return []
    by = ["table", "source", "file", "column", "reason"]
    groups = aside.groupby(by, sort=False).agg(
        count=("line", "size"), first_line=("line", "min"), since_load=("load", "min")
    )
    by_count = ["count", "source", "file", "first_line"]
    ordered = groups.reset_index().sort_values(by_count, ascending=[False, True, True, True], kind="stable")
    return [
        {**row, "first_line": int(row["first_line"]), "since_load": int(row["since_load"])}
        for row in ordered.to_dict("records")
    ]


def rows_as_dicts(aside: pd.DataFrame) -> list[dict[str, Any]]:
    """Quarantined rows with their cells."""
    return [
        {
            "table": row["table"],
            "source": row["source"],
            "file": row["file"],
            "line": int(row["line"]),
            "column": row["column"],
            "reason": row["reason"],
            "cells": json.loads(row["row"]),
        }
        for row in aside.to_dict("records")
    ]


def render_groups(console: Console, groups: list[dict[str, Any]]) -> None:
    """A table of groups."""
    if not groups:
        console.print("Quarantine: no row is aside.")
        return
    table = Table(title="Quarantine", title_justify="left")
    table.add_column("rows", justify="right")
    for name in ("table", "file", "reason"):
        table.add_column(name, overflow="fold")
    table.add_column("first line", justify="right")
    for g in groups:
        table.add_row(f"{g['count']:,}", g["table"], escape(g["file"]), escape(g["reason"]), str(g["first_line"]))
    console.print(table)
    console.print("Next: mend the mapping or the crosswalk, then `steadyline quarantine release SITE --data DIR`.")


def render_rows(console: Console, rows: list[dict[str, Any]], many: int) -> None:
    """Rows one below the other."""
    for row in rows:
        where = f"{row['file']} line {row['line']}"
        console.print(f"[bold]{escape(where)}[/]  {row['table']}  [yellow]{escape(row['reason'])}[/]", highlight=False)
        cells = ", ".join(f"{k}: {v}" for k, v in row["cells"].items())
        console.print(f"  [dim]{escape(cells)}[/]", highlight=False)
    rest = many - len(rows)
    console.print(f"{many:,} row(s) aside" + (f"; {rest:,} more with --limit" if rest else ""))


def render_released(console: Console, released: Released) -> None:
    """What a release did."""
    if not released.tables:
        console.print("No row was read again.")
    for name, count in released.tables.items():
        console.print(
            f"{name}: {count.read:,} row(s) read again, [green]{count.loaded:,} loaded[/], {count.known:,} already "
            f"known, [yellow]{count.quarantined:,} still aside[/]"
        )
    for text in released.left_alone:
        console.print(f"  [dim]left alone: {escape(text)}[/]")
    console.print(f"data version {released.data_version}")
