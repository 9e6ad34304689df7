"""What `steadyline backtest` and `steadyline card` answer, for people and as JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from governance import database, versions
from models.spec import FailureSpec, load_models
from plant.errors import NotReady, SteadylineError, UnknownId, did_you_mean, listing
from plant.home import store_root
from plant.site import Site
from plant.store import Store
from training import card
from training.backtest import backtest_failure
from training.backtest_charts import amount
from training.failure import Progress
from training.texts import rules_for


def run(site: Site, model: str, home: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Backtest a failure model on the newest data version; nothing is registered.

    Raises UnknownId, NotReady when the site was never connected, SteadylineError (wrong_task) for a quality model, and
    what training raises.
    """
    specs = load_models(site.folder)
    if model not in specs:
        raise UnknownId("unknown_model", f"site '{site.name}' has no model '{model}'{did_you_mean(model, specs)}",
                        listing(sorted(specs)) or f"none: put a YAML into {site.folder}/models")
    spec = specs[model]
    if not isinstance(spec, FailureSpec):
        raise SteadylineError(
            "wrong_task", f"model '{model}' predicts quality; a backtest in events and money is of failures",
            listing(sorted(n for n, s in specs.items() if isinstance(s, FailureSpec))) or "a failure model",
            f"`steadyline train {site.folder} {model}` tells the backtest of a quality model",
        )
    snapshot = Store(store_root(home), site.name).snapshot()
    tested = backtest_failure(snapshot, spec, progress, rules_for(site.folder, spec))
    evidence = tested.training.evidence | {"threshold": tested.threshold.as_dict(), "money": tested.money}
    made = card.make(spec, site.name, site.simulated, snapshot.data_version, evidence,
                     len(tested.training.plan.features))
    return {
        "site": site.name, "simulated": site.simulated, "model": model, "title": spec.title,
        "data_version": snapshot.data_version, "decision_horizon": str(spec.decision_horizon),
        "horizons": evidence["horizons"], "money": tested.money, "card": made,
    }


def render_backtest(console: Console, answer: dict[str, Any]) -> None:
    """The policies beside each other, and what the model saves."""
    m = answer["money"]
    unit = m["terms"]["costs"]["currency"]
    simulated = " [bold magenta]SIMULATED[/]" if answer["simulated"] else ""
    t = m["tested"]
    console.print(
        f"\n[bold]Backtest of {escape(answer['model'])}[/] at {escape(answer['site'])}{simulated}: {t['from'][:10]} to "
        f"{t['to'][:10]}, {t['equipment']} equipment, {t['equipment_years']:.1f} equipment-years"
    )
    table = Table()
    for name in ("policy", "prevented", "orders a week", "false alarms /eq-year", f"cost, {unit}"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for p in m["policies"].values():
        false = p["false_alarms_per_equipment_year"]
        table.add_row(p["title"], f"{p['caught']} of {p['failures']}", f"{p['orders_per_week']:.1f}",
                      "n/a" if false is None else f"{false:.1f}", amount(p["cost"]))
    console.print(table)
    for name, s in m["savings"].items():
        span = s["interval_90"]
        told = f" (90 % interval {amount(span[0])} to {amount(span[1])})" if span else ""
        console.print(f"  saved against {m['policies'][name]['title']}: {amount(s['saving'], unit)}{told}")
    lead = m["policies"]["model"]["lead_h"]
    if lead:
        console.print(f"  warning: median {lead['median']:.0f} h, nine of ten more than {lead['p10']:.0f} h ahead")


def find_card(site: Site, model: str, version: str | None, home: Path) -> dict[str, Any]:
    """The card of a version (default: the newest), with its number and hash.

    Raises UnknownId for a model or version that is not there, NotReady for one that has no card.
    """
    with database.reading(database.connect(home)) as connection:
        there = versions.list_versions(connection, site.name, model)
        if not there:
            specs = load_models(site.folder)
            raise NotReady(
                "never_trained", f"model '{model}' of site '{site.name}' was never trained{did_you_mean(model, specs)}",
                f"models of the site: {listing(sorted(specs))}", f"steadyline train {site.folder} {model}",
            )
        found = there[-1] if version is None else versions.get(connection, site.name, model, version)
    if "card" not in found.evidence:
        raise NotReady("no_card", f"version {found.version} of {model} was trained without a model card",
                       "a version trained since", f"steadyline train {site.folder} {model}")
    return {
        "version": found.version, "bundle_sha256": found.sha256, "stage": found.stage,
        "trained_at": found.trained_at.isoformat(), **found.evidence["card"],
    }
