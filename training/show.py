"""What a training found, for people at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.explain import number


def _number(value: float | None, digits: int = 3) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def render_tasks(console: Console, tasks: Sequence[dict[str, Any]]) -> None:
    """Backtests of several versions, one below the other."""
    for task in tasks:
        render_task(console, task)


def render_task(console: Console, task: dict[str, Any]) -> None:
    """Backtest of one version beside its baselines."""
    simulated = " [bold magenta]SIMULATED[/]" if task["simulated"] else ""
    console.print(f"\n[bold]{escape(task['title'])}[/]{simulated}  ·  {task['model']} version {task['version']}")
    test = task["test"]
    by_unit = f"trained on {task['train'].get('units')} units, tested on {test.get('units')} others"
    by_time = (f"trained before {task['train']['end'][:10]}, tested on {test['start'][:10]} to {test['end'][:10]}, "
               f"{test['folds']} fold(s)")
    told = by_unit if task.get("split") == "unit" else by_time
    console.print(f"  [dim]{told}; bundle {task['bundle_sha256'][:12]}[/]")
    before = task.get("previous")
    if before and before["same_data"]:
        console.print(f"  [yellow]nothing was connected since version {before['version']}: it is the same model[/]")
    (_failure if task["task"] == "failure" else _quality)(console, task)
    colour = "green" if task["beats_baseline"] else "yellow"
    console.print(f"  verdict: [{colour}]{escape(task['verdict'])}[/]")


def render_features(console: Console, answer: dict[str, Any]) -> None:
    """The features of a model, in the order of its columns; one line each."""
    for f in answer["features"]:
        facts = ", ".join(filter(None, (f["unit"], f["look_back"], f["source"])))
        console.print(f"[bold]{escape(f['name'])}[/]  {escape(f['meaning'])}  [dim]({escape(facts)})[/]",
                      highlight=False, soft_wrap=True)
    console.print(
        f"{len(answer['features'])} features of {answer['model']}; words known before {answer['train_end'][:10]}",
        highlight=False,
    )


def render_explained(console: Console, answer: dict[str, Any], most: int = 10) -> None:
    """Values with the source rows that they were made of, the latest `most` of each."""
    console.print(f"{answer['subject']} with what was known before {answer['at']}", highlight=False, markup=False)
    for f in answer["features"]:
        value = "not known" if f["value"] is None else f"{f['value']:g} {f['unit']}".strip()
        console.print(f"\n[bold]{escape(f['feature'])}[/] = {escape(value)}  [dim]{escape(f['meaning'])}[/]",
                      highlight=False, soft_wrap=True)
        rows = f["rows"]
        if not rows:
            console.print("  no row speaks of it")
        for r in rows[-most:]:
            file = f"{r['source_file'] or 'no file'}" + (f", line {r['source_line']}" if r["source_line"] else "")
            when = f"{r['time'][:19].replace('T', ' ')}  " if r["time"] else ""
            console.print(f"  {r['table']}  {when}{r['key']}  ({r['row']})  {file}", highlight=False, markup=False,
                          soft_wrap=True)
        if len(rows) > most:
            console.print(f"  and {len(rows) - most} more before them; --json lists all")


def _failure(console: Console, task: dict[str, Any]) -> None:
    table = Table()
    for name in ("horizon", "failures", "AUC (by age, unit, class)", "precision (by unit, none)", "calibration"):
        table.add_column(name, justify="right", overflow="fold")
    for name, h in task["horizons"].items():
        by = h["baselines"]
        ranked = ", ".join(_number(by[b]["auc"]) for b in ("age", "unit_base_rate", "class_base_rate"))
        found = f"{_number(by['unit_base_rate']['average_precision'])}, {_number(h['base_rate'])}"
        table.add_row(
            name,
            f"{h['failures']:,} of {h['n']:,}",
            f"{_number(h['auc'])} ({ranked})",
            f"{_number(h['average_precision'])} ({found})",
            _number(h["ece"], 4),
        )
    console.print(table)
    d = task["horizons"][task["decision_horizon"]]
    rivals = ", ".join(f"{n.replace('_', ' ')} {_number(b['brier'], 4)}" for n, b in d["baselines"].items())
    console.print("  [dim]in brackets: what is worth the time since the last failure, the base rate of each unit, of "
                  "its class, and of all; precision: average precision; calibration: expected calibration error[/]")
    console.print(f"  Brier score at {task['decision_horizon']}: {_number(d['brier'], 4)} (baselines: {rivals})")
    if "remaining_life" in task:
        _remaining_life(console, task["remaining_life"])
    events = task["events"]
    lead = events["median_lead_h"]
    console.print(
        f"  at the threshold that costs least: {events['caught']} of {events['failures']} failures caught"
        + (f", median first warning {lead:.0f} h ahead" if lead is not None else "")
        + f"; {_number(events['false_alarms_per_equipment_year'], 1)} false alarms per equipment-year"
    )


def _remaining_life(console: Console, life: dict[str, Any]) -> None:
    """What was left at each unit's last record, against its known end."""
    cap = life["cap"]
    capped = f" with both lives capped at {cap:g} d, {life['rmse_uncapped']:.2f} d without" if cap else ""
    console.print(
        f"  remaining life at the last record of {life['n']} units: RMSE {life['rmse']:.2f} d{capped}; "
        f"bias {life['bias']:+.2f} d, NASA score {life['nasa_score']:,.0f}; "
        f"the {life['interval']:.0%} interval held {life['coverage']:.0%}",
        highlight=False,
    )


def _quality(console: Console, task: dict[str, Any]) -> None:
    tested = {n: a for n, a in task["attributes"].items() if a["target"] == "pass_fail"}
    measured = {n: a for n, a in task["attributes"].items() if n not in tested}
    rows: list[tuple[str, dict[str, Any], Sequence[str]]]
    if measured:
        rows = [(n, a, (_number(a["r2"]), _three(a["mae"]), _three(a["mae_naive"]), _percent(a["coverage_90"])))
                for n, a in measured.items()]
        console.print(_attributes(("R²", "mean\nerror", "naive\nguess", "90 %\ncovers"), rows))
    if tested:
        rows = [(n, a, (_count(a["out_of_spec"]), _three(a["mae"]), _three(a["mae_naive"]))) for n, a in tested.items()]
        console.print(_attributes(("failed", "squared error\n(Brier)", "naive\nguess"), rows))
    for name, a in task["attributes"].items():
        console.print(f"  [dim]{escape(name)}: {escape(a['why'])}[/]")


def _attributes(heads: Sequence[str], rows: Sequence[tuple[str, dict[str, Any], Sequence[str]]]) -> Table:
    """Figures of each attribute. Names fold, so that no figure is cut where the terminal is narrow."""
    table = Table()
    table.add_column("attribute", overflow="fold")
    for head in ("batches", *heads):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, a, figures in rows:
        colour = "green" if a["verdict"] == "skilled" else "yellow"
        named = escape(f"{name} ({a['unit']})" if a["unit"] else name)
        table.add_row(named, _count(a["n"]), *figures, f"[{colour}]{a['verdict']}[/]")
    return table


def _three(value: float | None) -> str:
    return "n/a" if value is None else number(value)


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


def _count(value: int | None) -> str:
    return "n/a" if value is None else f"{value:,}"
