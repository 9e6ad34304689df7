"""What a connect found, for people at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plant.connect import Connected

_COLOUR = {"high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
_MOST_REASONS, _MOST_FINDINGS = 8, 12


def render_connected(console: Console, connected: Connected) -> None:
    """Sources, rows per table, quarantine with reasons, findings."""
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
