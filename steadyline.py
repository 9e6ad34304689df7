"""The front door: the command line, nothing else.

Each command collects its arguments, calls one function of a package and shows the answer, for people or as JSON.
Exit codes: 0 done, 1 refused or failed with a clear error, 2 wrong usage. Nothing slow is imported before it is needed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from plant import commands
from plant.commands import AsJson, DataFolder, SiteFolder, option
from plant.errors import SteadylineError
from plant.home import state_home, store_root
from serving import genealogy_command, golden_command, review_command
from training import backtest_commands, feature_commands

if TYPE_CHECKING:
    from plant.site import Site

# A plant is air-gapped: libraries that would send usage statistics are told not to, before anything imports them.
os.environ.update({"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"})

app = typer.Typer(
    name="steadyline", no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False,
    add_completion=False, help="Equipment failures and out-of-spec risk, predicted from a pharma plant's own systems.",
)
score_app = typer.Typer(no_args_is_help=True, help="Score equipment or batches with a trained model.")
app.add_typer(score_app, name="score")


AsOf = Annotated[
    str | None, option("--as-of", metavar="T", help="Use what was known strictly before T, an ISO time with zone.")
]
Version = Annotated[str, typer.Option("--version", metavar="N", help="Version to use: a number, or champion.")]
ModelOption = Annotated[
    str | None, option("--model", metavar="MODEL", help="Model to use, where the site has several of the kind.")
]


def main() -> None:
    """Run the command line; a refusal becomes one clear message and exit code 1."""
    try:
        app()
    except SteadylineError as e:
        _refuse(e)
    except OSError as e:
        found = f"{e.strerror or e}: {e.filename or ''}"
        _refuse(SteadylineError("no_access", found, hint="check the path, its rights and the disk"))
    except KeyboardInterrupt:
        typer.secho("Stopped. What was committed is kept; nothing is half written.", err=True)
        sys.exit(130)
    except Exception as e:
        from governance.errors import Refused

        if isinstance(e, Refused):
            _refuse(e)
        if os.environ.get("STEADYLINE_DEBUG"):
            raise
        hint = "run it again with STEADYLINE_DEBUG=1 to see where, and report it"
        _refuse(SteadylineError("unexpected", f"{type(e).__name__}: {e}", hint=hint))


def _refuse(error: Any) -> NoReturn:
    """Show a refusal where the caller looks for the answer, and end with exit code 1."""
    if "--json" in sys.argv:
        typer.echo(json.dumps({"error": error.as_dict()}, indent=2, ensure_ascii=False))
    else:
        typer.secho(f"Error: {error.message()}", fg=typer.colors.RED, err=True)
    sys.exit(1)


app.command(epilog="Example: `steadyline simulate sites/virtual_dublin --size demo --seed 7`")(commands.simulate)
app.command(epilog="Example: `steadyline connect sites/azure_pdm --data ../shared/data/azure_pdm`")(commands.connect)
app.add_typer(commands.quarantine_app, name="quarantine")
app.add_typer(commands.site_app, name="site")
app.command(epilog="Example: `steadyline features sites/virtual_dublin equipment_failures`")(feature_commands.features)
app.command(
    epilog="Example: `steadyline explain sites/virtual_dublin equipment_failures press-1 --feature 'events.*'`"
)(feature_commands.explain)
app.command(
    "audit-features", epilog="Example: `steadyline audit-features tablet_quality`"
)(feature_commands.audit_features)
app.command(
    epilog="Example: `steadyline backtest sites/virtual_dublin equipment_failures --html backtest.html`"
)(backtest_commands.backtest)
app.command(epilog="Example: `steadyline card sites/virtual_dublin equipment_failures`")(backtest_commands.card)
app.command(epilog="Example: `steadyline review sites/virtual_dublin B2500401`")(review_command.review)
app.command(epilog="Example: `steadyline golden sites/virtual_dublin B2500401 --step coating`")(golden_command.golden)
app.command(epilog="Example: `steadyline similar sites/virtual_dublin B2500801`")(golden_command.similar)
app.command(epilog="Example: `steadyline genealogy sites/virtual_dublin CS10119`")(genealogy_command.genealogy)


@app.command(
    epilog="Examples: `steadyline train sites/azure_pdm`, `steadyline train sites/virtual_dublin equipment_failures`"
)
def train(
    site: SiteFolder,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Default: all of the site.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train and backtest models on the connected data; each becomes a version, none becomes champion."""
    from plant.terminal import open_site, progress, show
    from training.show import render_tasks

    chosen = open_site(site)
    with progress() as tell:
        tasks = _train(chosen, model, tell)
    show(
        {"site": chosen.name, "simulated": chosen.simulated, "tasks": tasks},
        as_json,
        lambda console: render_tasks(console, tasks),
    )


@app.command(epilog="Example: `steadyline retrain sites/virtual_dublin equipment_failures`")
def retrain(
    site: SiteFolder,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model to train again.")],
    as_json: AsJson = False,
) -> None:
    """Train a model again on all that is connected now; the new version is a challenger, the champion keeps serving."""
    from plant.terminal import open_site, progress, show
    from training.run import retrain as run_retrain
    from training.show import render_tasks

    chosen = open_site(site)
    with progress() as tell:
        task = run_retrain(chosen, model, state_home(), tell)
    show(task, as_json, lambda console: render_tasks(console, [task]))


def _train(site: Site, model: str | None, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    from models.spec import load_models
    from training.run import train as run_train

    names = sorted(load_models(site.folder)) if model is None else [model]
    if not names:
        found, hint = f"site '{site.name}' has no model to train", "write one: docs/reference/model-yaml.md"
        raise SteadylineError("no_models", found, f"models/*.yaml in {site.folder}", hint)
    return [run_train(site, name, state_home(), tell) for name in names]


@score_app.command(
    "equipment",
    epilog="Example: `steadyline score equipment sites/virtual_dublin press-1 --as-of 2025-10-01T06:00:00Z`",
)
def score_equipment(
    site: SiteFolder,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[IDS]...", help="Default: all the model is for.")] = None,
    as_of: AsOf = None,
    model: ModelOption = None,
    version: Version = "champion",
    orders: Annotated[bool, typer.Option("--orders", help="Open work orders where the decision asks for one.")] = False,
    rows: Annotated[bool, typer.Option("--rows", help="Show the events and readings behind each reason.")] = False,
    as_json: AsJson = False,
) -> None:
    """Failure risk, remaining life, reasons and a decision for each equipment."""
    _score(site, "failure", ids, as_of, model, version, as_json, orders, rows)


@score_app.command("batch", epilog="Example: `steadyline score batch sites/zagar_tablets 900 901 --version 1`")
def score_batch(
    site: SiteFolder,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[IDS]...", help="Default: all with a result outstanding.")
    ] = None,
    as_of: AsOf = None,
    model: ModelOption = None,
    version: Version = "champion",
    as_json: AsJson = False,
) -> None:
    """Expected value, interval and risk of leaving the specification, for each batch and attribute."""
    _score(site, "quality", ids, as_of, model, version, as_json)


def _score(
    site: str, task: str, ids: list[str] | None, as_of: str | None, model: str | None, version: str, as_json: bool,
    orders: bool = False, rows: bool = False,
) -> None:
    from models.spec import the_model
    from plant.terminal import open_site, progress, show
    from serving.behind import with_rows
    from serving.orders import order_for
    from serving.report import render_orders, render_scores
    from serving.requests import parse_time
    from serving.scoring import Scorer

    chosen, t = open_site(site), parse_time(as_of)
    with progress(quiet=True) as tell:
        tell("scoring")
        scorer = Scorer.open(state_home(), chosen, the_model(chosen.folder, task, model), version)
        scores = scorer.equipment(ids or None, t) if task == "failure" else scorer.batches(ids or None, t)
        outcome = order_for(scorer, scores).as_dict() if orders else None
        if rows:
            with_rows(scorer.data.current().snapshot, scorer.served().predictor.plan, scores)
    answer = {"site": chosen.name, "simulated": chosen.simulated, "scores": scores}

    def render(console: Any) -> None:
        render_scores(console, task, scores)
        if outcome is not None:
            render_orders(console, outcome)

    show(answer if outcome is None else {**answer, "orders": outcome}, as_json, render)


def _scores(
    site: Site, task: str, model: str, version: str, ids: list[str] | None, as_of: Any, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    from serving.scoring import Scorer

    tell(f"scoring with {model}")
    scorer = Scorer.open(state_home(), site, model, version)
    return scorer.equipment(ids, as_of) if task == "failure" else scorer.batches(ids, as_of)


@app.command(epilog="Example: `steadyline run sites/zagar_tablets --data ../shared/data/zagar_tablets --json`")
def run(site: SiteFolder, data: DataFolder = None, as_json: AsJson = False) -> None:
    """Connect, train, validate, score: from exports to a judged model in one go. Nothing becomes champion."""
    from plant.connect import connect as run_connect
    from plant.show import render_connected
    from plant.terminal import data_folder, open_site, progress, show
    from serving.report import render_scores
    from training.show import render_tasks

    chosen = open_site(site)
    with progress() as tell:
        connected = run_connect(chosen, data_folder(chosen, data), store_root(state_home()), tell)
        tasks = _train(chosen, None, tell) if chosen.model_files else []
        for task in tasks:
            task["scores"] = _scores(chosen, task["task"], task["model"], task["version"], None, None, tell)

    def render(console: Any) -> None:
        render_connected(console, connected)
        render_tasks(console, tasks)
        for task in tasks:
            render_scores(console, task["task"], task["scores"])
        judged = "look at the verdicts, then `steadyline promote MODEL VERSION --as USER`"
        console.print(f"\nNext: {judged if tasks else 'write a model: docs/reference/model-yaml.md'}.")

    show({**connected.as_dict(), "tasks": tasks}, as_json, render)


@app.command(epilog="Example: `steadyline promote equipment_failures 1 --as j.doe --reason 'reviewed the backtest'`")
def promote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model, or SITE/MODEL where several sites have it.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Version number.")],
    user: Annotated[str, option("--as", metavar="USER", help="Who promotes; it is recorded.")],
    reason: Annotated[str | None, option("--reason", metavar="TEXT", help="Why; it is recorded.")] = None,
    site: Annotated[str | None, option("--site", metavar="SITE", help="Site, where several have the model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion. Refused when its backtest did not beat its baseline."""
    from plant.terminal import show
    from training.promote import find_model
    from training.promote import promote as run_promote

    home = state_home()
    where, name = find_model(home, model, Path(site).name if site else None)
    promotion = run_promote(home, where, name, version, user, reason)
    show(
        vars(promotion),
        as_json,
        lambda console: console.print(f"{where}/{name} version {version} is champion (by {user}; {promotion.reason})"),
    )


@app.command(epilog="Example: `steadyline monitor sites/virtual_dublin --recent 30d`")
def monitor(
    site: SiteFolder,
    model: ModelOption = None,
    recent: Annotated[str, typer.Option(metavar="DURATION", help="Length of the recent window.")] = "30d",
    as_json: AsJson = False,
) -> None:
    """Compare recent inputs and scores with the training window (Evidently); keep the result and its HTML."""
    from plant.terminal import open_site, progress, show
    from serving.monitor import monitor_site
    from serving.report import render_monitor

    chosen = open_site(site)
    with progress() as tell:
        results = monitor_site(state_home(), chosen, model, recent, tell)

    def render(console: Any) -> None:
        for result in results:
            render_monitor(console, result)

    show({"site": chosen.name, "monitoring": results}, as_json, render)


@app.command(epilog="Example: `steadyline texts sites/excavators --most 30`")
def texts(
    site: SiteFolder,
    text: Annotated[
        list[str] | None, option("--text", metavar="TEXT", help="Read this text instead; may be given several times.")
    ] = None,
    most: Annotated[int, typer.Option(metavar="N", help="How many texts of orders to show.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what the texts of orders without a failure mode tell, least sure first, and the words that decided."""
    from features.text_report import render, report
    from plant.store import Store
    from plant.terminal import open_site, show

    chosen = open_site(site)
    snapshot = Store(store_root(state_home()), chosen.name).snapshot()
    found = report(snapshot, chosen.folder, text or (), most)
    show({"site": chosen.name, **found}, as_json, lambda console: render(console, found))


@app.command(epilog="Example: `steadyline serve sites/virtual_dublin sites/virtual_graz`")
def serve(
    sites: Annotated[
        list[str] | None, typer.Argument(metavar="[SITE]...", help="Default: all below sites/ that were connected.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback unless you decide.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535)] = 3000,
) -> None:
    """Serve the scoring endpoints and the page at /, until stopped."""
    from plant.terminal import connected_sites, open_site
    from serving.serve import run as run_service

    folders = [open_site(s).folder for s in sites] if sites else connected_sites()
    names = ", ".join(f.name for f in folders)
    typer.echo(f"Steadyline serves {names} on http://{host}:{port} (Ctrl+C stops it)", err=True)
    run_service(state_home(), folders, host, port)


@app.command(epilog="Example: `steadyline demo --no-serve`")
def demo(
    serve_after: Annotated[bool, typer.Option("--serve/--no-serve", help="Leave the service running.")] = True,
    size: Annotated[Literal["tiny", "demo"], typer.Option(help="Size of the virtual plants.")] = "demo",
    port: Annotated[int, typer.Option(help="Port of the service.")] = 3000,
) -> None:
    """The main job on virtual plants (simulated): exports, one language, models, scores, work orders, service."""
    from rich.console import Console

    from plant.connect import connect as run_connect
    from plant.show import render_connected
    from plant.terminal import data_folder, open_site, progress
    from plant.virtual import simulate as run_simulation
    from serving.orders import order_for
    from serving.report import render_batches, render_equipment, render_orders
    from serving.scoring import Scorer
    from training.promote import promote as run_promote
    from training.show import render_tasks

    home, console = state_home(), Console()
    sites = [open_site("sites/virtual_dublin"), open_site("sites/virtual_graz")]
    console.rule("1. Two plants that disagree, connected into one language")
    for site in sites:
        with progress() as tell:
            run_simulation(site.name, size, 7, home / "simulated" / site.name, tell)
            connected = run_connect(site, data_folder(site, None), store_root(home), tell)
        render_connected(console, connected)
    site = sites[0]
    console.rule(f"2. Models of {site.name}, judged on later time")
    with progress() as tell:
        tasks = _train(site, None, tell)
    render_tasks(console, tasks)
    for task in tasks:
        if task["beats_baseline"]:
            run_promote(home, site.name, task["model"], task["version"], "demo", "the demo, on simulated data")
            console.print(f"  {task['model']} version {task['version']} is champion (promoted by the user 'demo')")
    console.rule("3. Scores with what was known at the end of the data, and work orders")
    for task in (t for t in tasks if t["beats_baseline"]):
        scorer = Scorer.open(home, site, task["model"])
        if task["task"] == "failure":
            scores = scorer.equipment()
            render_equipment(console, scores)
            render_orders(console, order_for(scorer, scores).as_dict())
        else:
            render_batches(console, scorer.batches())
    console.rule("4. Where to go next")
    me = sys.argv[0] if os.sep in sys.argv[0] else "steadyline"
    console.print(
        f"State: {home}. Reports: {home / 'reports'}.\n"
        f"Ask for one equipment: {me} score equipment {site.folder} press-1\n"
        f"Watch for drift:       {me} monitor {site.folder}\n"
        f"Serve the scores:      {me} serve {site.folder}\n"
        f"Your own plant:        docs/reference/site-yaml.md, then {me} run sites/YOURS --data DIR",
        highlight=False, soft_wrap=True,
    )
    if serve_after:
        serve([str(s.folder) for s in sites], "127.0.0.1", port)


if __name__ == "__main__":
    main()
