"""Scores, orders and drift for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serving.words import ATTENTION, days, decision_risk, limits, number, percent, stage, worst_attribute

_ACTION = {"open_order": "[red]open an order[/]", "watch": "[yellow]watch[/]", "none": "[dim]nothing to do[/]"}
_VERDICT = {
    "out_of_spec_expected": "[red]out of spec expected[/]", "at_risk": "[yellow]at risk[/]",
    "undecided": "[dim]undecided[/]", "in_spec_expected": "[green]in spec expected[/]",
    "no_limits": "[dim]no limits[/]",
}
BAR = 12


def render_equipment(console: Console, scores: Sequence[Mapping[str, Any]], most: int = 10) -> None:
    """The highest equipment risks, each with its reasons in words."""
    ranked = sorted(scores, key=lambda s: (-decision_risk(s), str(s["equipment_id"])))
    if not ranked:
        console.print("No equipment was scored.")
        return
    _head(console, "Equipment at risk", ranked[0], f"{min(most, len(ranked))} of {len(ranked)} equipment")
    table = Table(show_lines=True)
    table.add_column("equipment")
    for risk in ranked[0]["risks"]:
        table.add_column(f"within {risk['horizon']}", justify="right")
    for name in ("likeliest failure", "time left", "decision", "why"):
        table.add_column(name, overflow="fold")
    for score in ranked[:most]:
        modes, life = score["failure_modes"], score["remaining_life"]
        table.add_row(
            f"[bold]{escape(str(score['equipment_id']))}[/]\n[dim]{escape(str(score['equipment_class']))}[/]",
            *(_cell(float(r["probability"])) for r in score["risks"]),
            f"{escape(str(modes[0]['mode']))} {percent(modes[0]['probability'])}" if modes else "not recorded",
            f"{'more than ' if life['beyond'] else ''}{days(life['median_days'])}",
            _ACTION[score["decision"]["action"]], _reasons(score["reasons"]),
        )
    console.print(table)


def render_batches(console: Console, scores: Sequence[Mapping[str, Any]], most: int = 10) -> None:
    """The batches that need attention first, each with the attribute concerned."""
    if not scores:
        console.print("No batch has a result outstanding.")
        return
    rows = [(worst_attribute(s), s) for s in scores]
    rows.sort(key=lambda r: (ATTENTION[r[0]["verdict"]], -(r[0]["prob_out_of_spec"] or 0.0), str(r[1]["batch_id"])))
    _head(console, "Batches", rows[0][1], f"{min(most, len(rows))} of {len(rows)} batches")
    table = Table(show_lines=True)
    for name in ("batch", "stage", "attribute", "expected", "90 % interval", "limits", "out of spec", "verdict", "why"):
        table.add_column(name, overflow="fold")
    for worst, score in rows[:most]:
        low, high = worst["interval_90"]
        table.add_row(
            f"[bold]{escape(str(score['batch_id']))}[/]\n[dim]{escape(str(score['product']))}[/]",
            escape(stage(str(score["gate"]))), escape(str(worst["attribute"])),
            f"{number(worst['expected'])} {escape(str(worst['unit']))}",
            f"{number(low)} to {number(high)}", limits(worst["lower_spec"], worst["upper_spec"]),
            "–" if worst["prob_out_of_spec"] is None else percent(worst["prob_out_of_spec"]),
            _VERDICT[worst["verdict"]], _reasons(worst["reasons"]),
        )
    console.print(table)


def render_orders(console: Console, outcome: Mapping[str, Any]) -> None:
    """Orders opened and scores that got none, from `serving.orders.Outcome.as_dict`."""
    opened, skipped = outcome["opened"], outcome["skipped"]
    console.print(f"\n[bold]Orders[/]: {len(opened)} opened, {len(skipped)} not needed or not possible")
    for order in opened:
        what = f"{escape(order['equipment_id'])}: {escape(order['reason'])}"
        console.print(f"  [bold]{escape(order['order_id'])}[/] {what}")
    for one in skipped:
        console.print(f"  [dim]{escape(one['equipment_id'])}: none, {escape(one['why'])}[/]")


def render_monitor(console: Console, result: Mapping[str, Any], most: int = 8) -> None:
    """What moved since the training window."""
    told = "[red]drift[/]" if result["drifted"] else "[green]no drift[/]"
    console.print(
        f"\n[bold]{escape(result['model'])}[/] version {result['version']}: {told}, "
        f"{percent(result['share']) if result['share'] else 'none'} of {len(result['columns'])} columns moved"
    )
    table = Table()
    for name in ("column", "moved by", "usual at most", ""):
        table.add_column(name)
    for row in result["columns"][:most]:
        table.add_row(
            escape(str(row["meaning"])), f"{number(row['distance'])} sd", f"{number(row['usual'])} sd",
            ("[red]drifted[/] " if row["drifted"] else "") + escape(row["note"]),
        )
    console.print(table)
    console.print(f"  window {result['window']}\n  report {result['report_path']}", soft_wrap=True)


def _head(console: Console, title: str, score: Mapping[str, Any], count: str) -> None:
    simulated = " [bold magenta]SIMULATED[/]" if score["simulated"] else ""
    console.print(f"\n[bold]{title}[/]{simulated}: {count}")
    console.print(
        f"  [dim]known before {score['as_of']}; {score['model']} version {score['model_version']} ({score['role']}), "
        f"data {score['data_version']}[/]"
    )


def _cell(risk: float) -> str:
    full = round(risk * BAR)
    return f"{percent(risk)}\n[red]{'█' * full}[/][dim]{'░' * (BAR - full)}[/]"


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(escape(str(r["text"])) for r in reasons) or "no single reason stands out"
