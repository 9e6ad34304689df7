"""What a training found, for people at a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def _number(value: float | None, digits: int = 3) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def render_task(console: Console, task: dict[str, Any]) -> None:
    """Backtest of one version beside its baselines."""
    simulated = " [bold magenta]SIMULATED[/]" if task["simulated"] else ""
    console.print(f"\n[bold]{escape(task['title'])}[/]{simulated}  ·  {task['model']} version {task['version']}")
    tested = f"trained before {task['train']['end'][:10]}, tested on {task['test']['start'][:10]} to {task['test']['end'][:10]}"
    console.print(f"  [dim]{tested}, {task['test']['folds']} fold(s); bundle {task['bundle_sha256'][:12]}[/]")
    (_failure if task["task"] == "failure" else _quality)(console, task)
    colour = "green" if task["beats_baseline"] else "yellow"
    console.print(f"  verdict: [{colour}]{escape(task['verdict'])}[/]")


def _failure(console: Console, task: dict[str, Any]) -> None:
    table = Table()
    for name in (
        "horizon",
        "failures / rows",
        "AUC",
        "AUC by age alone",
        "average precision",
        "base rate",
        "calibration error",
        "Brier",
        "best baseline",
    ):
        table.add_column(name, justify="right")
    for name, h in task["horizons"].items():
        best = min((b["brier"] for b in h["baselines"].values() if b["brier"] is not None), default=None)
        table.add_row(
            name,
            f"{h['failures']:,} / {h['n']:,}",
            _number(h["auc"]),
            _number(h["baselines"]["age"]["auc"]),
            _number(h["average_precision"]),
            _number(h["base_rate"], 4),
            _number(h["ece"], 4),
            _number(h["brier"], 4),
            _number(best, 4),
        )
    console.print(table)
    events = task["events"]
    lead = (
        f", median first warning {events['median_lead_h']:.0f} h ahead" if events["median_lead_h"] is not None else ""
    )
    console.print(
        f"  at the threshold that costs least: {events['caught']} of {events['failures']} failures caught{lead}; "
        f"{_number(events['false_alarms_per_equipment_year'], 1)} false alarms per equipment-year"
    )


def _quality(console: Console, task: dict[str, Any]) -> None:
    table = Table()
    for name in (
        "attribute",
        "batches",
        "R²",
        "error",
        "error of the best naive guess",
        "90 % interval covers",
        "verdict",
    ):
        table.add_column(name, justify="left" if name in ("attribute", "verdict") else "right")
    for name, a in task["attributes"].items():
        colour = "green" if a["verdict"] == "skilled" else "yellow"
        table.add_row(
            escape(name),
            str(a["n"]),
            _number(a["r2"]),
            f"{_number(a['mae'], 4)} {escape(a['unit'])}",
            f"{_number(a['mae_naive'], 4)} ({escape(a['naive'])})",
            "n/a" if a["coverage_90"] is None else f"{100 * a['coverage_90']:.1f} %",
            f"[{colour}]{a['verdict']}[/]",
        )
    console.print(table)
