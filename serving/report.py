"""Scores, orders and drift for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serving.words import (
    attention,
    by_attention,
    days,
    decision_risk,
    expectation,
    found,
    number,
    percent,
    specified,
    stage,
    worst_attribute,
)

_ACTION = {"open_order": "[red]open an order[/]", "watch": "[yellow]watch[/]", "none": "[dim]nothing to do[/]"}
_RATES = {"class": " (rates of its class)", "population": " (rates of all equipment)"}  # nothing of it is known
_VERDICT = {
    "out_of_spec_expected": "[red]out of spec expected[/]", "at_risk": "[yellow]at risk[/]",
    "undecided": "[dim]undecided[/]", "in_spec_expected": "[green]in spec expected[/]",
    "no_limits": "[dim]no limits[/]",
}
BAR = 12


def render_scores(console: Console, task: str, scores: Sequence[Mapping[str, Any]]) -> None:
    """Scores of a `failure` or a `quality` model."""
    (render_equipment if task == "failure" else render_batches)(console, scores)


def render_equipment(console: Console, scores: Sequence[Mapping[str, Any]], most: int = 10) -> None:
    """The highest equipment risks, each with its reasons in words below it."""
    ranked = sorted(scores, key=lambda s: (-decision_risk(s), str(s["equipment_id"])))
    if not ranked:
        console.print("No equipment was scored.")
        return
    _head(console, "Equipment at risk", ranked[0], f"{min(most, len(ranked))} of {len(ranked)} equipment")
    for place, score in enumerate(ranked[:most], 1):
        modes, life = score["failure_modes"], score["remaining_life"]
        risk = decision_risk(score)
        others = ", ".join(
            f"{percent(r['probability'])} within {r['horizon']}"
            for r in score["risks"] if r["horizon"] != score["decision_horizon"]
        )
        left = f"{'more than ' if life['beyond'] else 'about '}{days(life['median_days'])} left"
        left += _RATES.get(life.get("basis"), "")
        mode = f"{escape(str(modes[0]['mode']))}, " if modes else ""
        console.print(
            f"[bold]{place:>3}. {escape(score['equipment_id'])}[/] [dim]{escape(str(score['equipment_class']))}[/]  "
            f"{_bar(risk)} [bold]{percent(risk)}[/] within {score['decision_horizon']} [dim]({others})[/]  "
            f"{mode}{left}  {_ACTION[score['decision']['action']]}", highlight=False,
        )
        _reasons(console, score["reasons"], score.get("behind"))
        what = score["decision"].get("recommended")
        if what is not None and score["decision"]["action"] != "none":
            console.print(f"       [bold]{escape(what['text'])}[/]", highlight=False)


def render_batches(console: Console, scores: Sequence[Mapping[str, Any]], most: int = 10) -> None:
    """The batches that need attention first, each with the attribute concerned and the reasons below it."""
    if not scores:
        console.print("No batch has a result outstanding.")
        return
    rows = [(worst_attribute(s), s) for s in scores]
    rows.sort(key=lambda r: (*attention(r[0]), str(r[1]["batch_id"])))
    open_ = any(worst["result"] is None for worst, _ in rows)
    title = "Batches with results outstanding" if open_ else "Batches, all results known"
    _head(console, title, rows[0][1], f"{min(most, len(rows))} of {len(rows)} batches")
    for place, (worst, score) in enumerate(rows[:most], 1):
        expected, sure = expectation(worst)
        outside = worst["prob_out_of_spec"]
        risk = "" if outside is None else f"{_bar(outside)} [bold]{percent(outside)}[/] out of spec "
        told = f"expected {expected} ({sure}; limits {specified(worst)})"
        if worst["target"] == "pass_fail":
            risk, told = _bar(outside), f"{expected} ({sure})"
        console.print(
            f"[bold]{place:>3}. {escape(str(score['batch_id']))}[/] [dim]{escape(str(score['product']))}, "
            f"{escape(stage(str(score['gate'])))}[/]  {risk} [bold]{escape(str(worst['attribute']))}[/] "
            f"{escape(told)}  {_VERDICT[worst['verdict']]}", highlight=False,
        )
        if score.get("hindsight"):
            console.print("     [dim]hindsight: the model has learnt from times after this gate[/]")
        if len(rows) == 1:
            _others(console, by_attention(score)[1:])
        _reasons(console, worst["reasons"])


def _others(console: Console, attributes: Sequence[Mapping[str, Any]]) -> None:
    """The other attributes of the one batch that was asked for, one line each."""
    for a in attributes:
        expected, sure = expectation(a)
        risk = "" if a["prob_out_of_spec"] is None else f"{percent(a['prob_out_of_spec'])} out of spec, "
        there = f"[bold]result {escape(found(a))}[/], was " if found(a) else ""
        console.print(
            f"     {escape(str(a['attribute']))}: {there}expected {escape(expected)} "
            f"({risk}{sure}; limits {specified(a)})  {_VERDICT[a['verdict']]}", highlight=False,
        )


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


def _bar(risk: float) -> str:
    full = round(risk * BAR)
    return f"[red]{'█' * full}[/][dim]{'░' * (BAR - full)}[/]"


def _reasons(
    console: Console, reasons: Sequence[Mapping[str, Any]], behind: Sequence[Mapping[str, Any]] | None = None
) -> None:
    for i, reason in enumerate(reasons):
        console.print(f"       [dim]- {escape(str(reason['text']))}[/]", highlight=False)
        if behind:
            console.print(f"         [dim]made of {behind[i]['count']} rows, the newest:[/]", highlight=False)
        for row in behind[i]["rows"] if behind else ():
            where = f"{row['source_file']} line {row['source_line']}"
            said = f"{row['time'] or ''} {row['table']} {row['row']}  ({where})"
            console.print(f"           [dim]{escape(said)}[/]", highlight=False, soft_wrap=True)
    if not reasons:
        console.print("       [dim]no single reason stands out[/]")
