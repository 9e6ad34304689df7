"""The front door: the command line, nothing else.

Each command collects its arguments, calls one function of a package and shows the answer, for people or as JSON.
Exit codes: 0 done, 1 refused or failed with a clear error, 2 wrong usage. Nothing slow is imported before it is needed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from plant.errors import SteadylineError, UnknownId, listing, nearest
from plant.home import state_home, store_root

if TYPE_CHECKING:
    from plant.site import Site

# A plant is air-gapped: libraries that would send usage statistics are told not to, before anything imports them.
os.environ.update({"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"})

app = typer.Typer(
    name="steadyline",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Equipment failures and out-of-spec risk, predicted from the systems a pharma plant already has.",
)
score_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Score equipment or batches with a trained model."
)
app.add_typer(score_app, name="score")

SiteFolder = Annotated[
    str, typer.Argument(metavar="SITE", help="Site folder, such as sites/virtual_dublin.", show_default=False)
]
DataFolder = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder that holds the site's exports.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="T",
        help="Score with what was known strictly before T, an ISO time with zone.",
        show_default=False,
    ),
]
Version = Annotated[str, typer.Option("--version", metavar="N", help="Version to use: a number, or champion.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", help="Model to use, where the site has several of the kind.", show_default=False
    ),
]


DEMO_SEED = 7


def main() -> None:
    """Run the command line; a refusal becomes one clear message and exit code 1."""
    try:
        app()
    except SteadylineError as e:
        _refuse(e)
    except KeyboardInterrupt:
        typer.secho("Stopped. What was committed is kept; nothing is half written.", err=True)
        sys.exit(130)
    except Exception as e:
        from governance.errors import Refused

        if isinstance(e, Refused):
            _refuse(e)
        if os.environ.get("STEADYLINE_DEBUG"):
            raise
        _refuse(
            SteadylineError(
                "unexpected",
                f"{type(e).__name__}: {e}",
                hint="run it again with STEADYLINE_DEBUG=1 to see where, and report it",
            )
        )


def _refuse(error: Any) -> NoReturn:
    """Show a refusal where the caller looks for the answer, and end with exit code 1."""
    if "--json" in sys.argv:
        typer.echo(json.dumps({"error": error.as_dict()}, indent=2, ensure_ascii=False))
    else:
        typer.secho(f"Error: {error.message()}", fg=typer.colors.RED, err=True)
    sys.exit(1)


def _site(folder: str) -> Site:
    from plant.site import load_site

    path = Path(folder)
    return load_site(path if path.exists() or not (Path("sites") / folder).is_dir() else Path("sites") / folder)


def _data(site: Site, data: Path | None) -> Path:
    """The folder of the exports: as given, or where `simulate` has put those of a virtual site."""
    simulated = state_home() / "simulated" / site.name / "exports"
    if data is not None:
        return data
    if simulated.is_dir():
        return simulated
    raise SteadylineError(
        "no_data_folder",
        f"no folder was given that holds the exports of site '{site.name}'",
        "--data DIR",
        f"steadyline simulate {site.folder} makes some"
        if site.name.startswith("virtual_")
        else f"see {site.folder}/README.md for how to get them",
    )


@contextmanager
def _progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Shows what a long job is doing, on standard error so that standard output stays the answer."""
    from rich.console import Console

    console = Console(stderr=True)
    with console.status("starting") as status:

        def tell(what: str) -> None:
            status.update(what)
            if not quiet and not console.is_terminal:
                console.print(f"  {what}", style="dim", highlight=False, markup=False)

        yield tell


def _show(answer: Any, as_json: bool, render: Callable[[Any], None]) -> None:
    """JSON on standard output, or what `render` prints on a console."""
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False, default=str))
        return
    from rich.console import Console

    render(Console())


@app.command(epilog="Example: `steadyline simulate sites/virtual_dublin --size demo --seed 7`")
def simulate(
    site: SiteFolder,
    size: Annotated[
        Literal["tiny", "demo", "large"], typer.Option(help="How much: tiny (seconds), demo, large (benchmarks).")
    ] = "demo",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; default: below STEADYLINE_HOME.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the exports of a virtual plant (simulated), and apart from them the truth behind."""
    from plant.virtual import simulate as run_simulation

    chosen = _site(site)
    target = out or state_home() / "simulated" / chosen.name
    with _progress() as tell:
        summary = run_simulation(chosen.name, size, seed, target, tell)
    _show(
        summary.as_dict(),
        as_json,
        lambda console: console.print(
            f"Simulated {chosen.name} ({size}, seed {seed}): exports in {target / 'exports'}, truth in {target / 'truth'}"
        ),
    )


@app.command(epilog="Example: `steadyline connect sites/azure_pdm --data ../shared/data/azure_pdm`")
def connect(site: SiteFolder, data: DataFolder = None, as_json: AsJson = False) -> None:
    """Load a site's exports into the plant language; say what did not fit and what it harms."""
    from plant.connect import connect as run_connect
    from plant.show import render_connected

    chosen = _site(site)
    with _progress() as tell:
        connected = run_connect(chosen, _data(chosen, data), store_root(state_home()), tell)
    _show(connected.as_dict(), as_json, lambda console: render_connected(console, connected))


@app.command(
    epilog="Examples: `steadyline train sites/azure_pdm`, `steadyline train sites/virtual_dublin press_failures`"
)
def train(
    site: SiteFolder,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="One model; default: all of the site.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train and backtest models on the connected data; each becomes a version, none becomes champion."""
    chosen = _site(site)
    with _progress() as tell:
        tasks = _train(chosen, model, tell)
    _show(
        {"site": chosen.name, "simulated": chosen.simulated, "tasks": tasks},
        as_json,
        lambda console: _render_tasks(console, tasks),
    )


@app.command(epilog="Example: `steadyline retrain sites/virtual_dublin press_failures`")
def retrain(
    site: SiteFolder,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model to train again.")],
    as_json: AsJson = False,
) -> None:
    """Train a model again on all that is connected now; the new version is a challenger, the champion keeps serving."""
    chosen = _site(site)
    with _progress() as tell:
        from training.run import retrain as run_retrain

        task = run_retrain(chosen, model, state_home(), tell)
    _show(task, as_json, lambda console: _render_tasks(console, [task]))


def _train(site: Site, model: str | None, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    from models.spec import load_models
    from training.run import train as run_train

    names = sorted(load_models(site.folder)) if model is None else [model]
    return [run_train(site, name, state_home(), tell) for name in names]


def _render_tasks(console: Any, tasks: list[dict[str, Any]]) -> None:
    from training.show import render_task

    for task in tasks:
        render_task(console, task)


@score_app.command(
    "equipment",
    epilog="Example: `steadyline score equipment sites/virtual_dublin press-1 --as-of 2025-10-01T06:00:00Z`",
)
def score_equipment(
    site: SiteFolder,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IDS]...", help="Equipment ids; default: all the model is for.", show_default=False),
    ] = None,
    as_of: AsOf = None,
    model: ModelOption = None,
    version: Version = "champion",
    as_json: AsJson = False,
) -> None:
    """Failure risk, remaining life, reasons and a decision for each equipment."""
    _score(site, "failure", ids, as_of, model, version, as_json)


@score_app.command("batch", epilog="Example: `steadyline score batch sites/zagar_tablets 900 901 --version 1`")
def score_batch(
    site: SiteFolder,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IDS]...", help="Batch ids; default: the batches without final results.", show_default=False
        ),
    ] = None,
    as_of: AsOf = None,
    model: ModelOption = None,
    version: Version = "champion",
    as_json: AsJson = False,
) -> None:
    """Expected value, interval and risk of leaving the specification, for each batch and attribute."""
    _score(site, "quality", ids, as_of, model, version, as_json)


def _score(
    site: str, task: str, ids: list[str] | None, as_of: str | None, model: str | None, version: str, as_json: bool
) -> None:
    from serving.requests import parse_time

    chosen = _site(site)
    with _progress(quiet=True) as tell:
        scores = _scores(chosen, task, _model_for(chosen, task, model), version, ids or None, parse_time(as_of), tell)
    _show(
        {"site": chosen.name, "simulated": chosen.simulated, "scores": scores},
        as_json,
        lambda console: _render_scores(console, task, scores),
    )


def _scores(
    site: Site, task: str, model: str, version: str, ids: list[str] | None, as_of: Any, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    from serving.scoring import Scorer

    tell(f"scoring with {model}")
    scorer = Scorer.open(state_home(), site, model, version)
    return scorer.equipment(ids, as_of) if task == "failure" else scorer.batches(ids, as_of)


def _render_scores(console: Any, task: str, scores: list[dict[str, Any]]) -> None:
    from serving.report import render_batches, render_equipment

    (render_equipment if task == "failure" else render_batches)(console, scores)


def _model_for(site: Site, task: str, model: str | None) -> str:
    """The site's model of a task, when there is one only or it is named."""
    from models.spec import load_models

    models = load_models(site.folder)
    fitting = sorted(n for n, s in models.items() if s.task == task)
    if model is None and len(fitting) == 1:
        return fitting[0]
    if model is not None and model in fitting:
        return model
    found = (
        f"site '{site.name}' has no {task} model '{model}' {nearest(model, fitting)}".rstrip()
        if model
        else f"site '{site.name}' has {len(fitting)} {task} models"
    )
    raise UnknownId(
        "unknown_model",
        found,
        listing(fitting) or f"none: {site.folder}/models holds no {task} model",
        "name one with --model",
    )


@app.command(epilog="Example: `steadyline run sites/zagar_tablets --data ../shared/data/zagar_tablets --json`")
def run(site: SiteFolder, data: DataFolder = None, as_json: AsJson = False) -> None:
    """Connect, train, validate, score: from exports to a judged model in one go. Nothing becomes champion."""
    from plant.connect import connect as run_connect
    from plant.show import render_connected

    chosen = _site(site)
    with _progress() as tell:
        connected = run_connect(chosen, _data(chosen, data), store_root(state_home()), tell)
        tasks = _train(chosen, None, tell)
        for task in tasks:
            task["scores"] = _scores(chosen, task["task"], task["model"], task["version"], None, None, tell)

    def render(console: Any) -> None:
        render_connected(console, connected)
        _render_tasks(console, tasks)
        for task in tasks:
            _render_scores(console, task["task"], task["scores"])
        console.print("\nNext: look at the verdicts, then `steadyline promote MODEL VERSION --as USER`.")

    _show({**connected.as_dict(), "tasks": tasks}, as_json, render)


@app.command(epilog="Example: `steadyline promote press_failures 1 --as j.doe --reason 'reviewed the backtest'`")
def promote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model, or SITE/MODEL where several sites have it.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Version number.")],
    user: Annotated[
        str, typer.Option("--as", metavar="USER", help="Who promotes; it is recorded.", show_default=False)
    ],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it is recorded.", show_default=False)] = None,
    site: Annotated[
        str | None, typer.Option(metavar="SITE", help="Site of the model, where several have it.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion. Refused when its backtest did not beat its baseline."""
    from training.promote import find_model
    from training.promote import promote as run_promote

    home = state_home()
    where, name = find_model(home, model, Path(site).name if site else None)
    promotion = run_promote(home, where, name, version, user, reason)
    _show(
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
    from models.spec import load_models
    from serving.monitor import monitor as run_monitor
    from serving.report import render_monitor

    chosen = _site(site)
    with _progress() as tell:
        names = [model] if model else sorted(load_models(chosen.folder))
        results = [run_monitor(state_home(), chosen, name, recent, tell) for name in names]
    _show(
        {"site": chosen.name, "monitoring": results},
        as_json,
        lambda console: [render_monitor(console, r) for r in results] and None,
    )


@app.command(epilog="Example: `steadyline serve sites/virtual_dublin sites/virtual_graz`")
def serve(
    sites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SITE]...",
            help="Sites to serve; default: all below sites/ that were connected.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback is your decision.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 3000,
) -> None:
    """Serve the scoring endpoints and the page at /, until stopped."""
    from serving.serve import run as run_service

    folders = [_site(s).folder for s in sites] if sites else _connected()
    typer.echo(
        f"Steadyline serves {', '.join(f.name for f in folders)} on http://{host}:{port} (Ctrl+C stops it)", err=True
    )
    run_service(state_home(), folders, host, port)


def _connected() -> list[Path]:
    """Site folders below sites/ whose data is in the store."""
    found = [
        p.parent
        for p in sorted(Path("sites").glob("*/site.yaml"))
        if (store_root(state_home()) / p.parent.name / "loads").is_dir()
    ]
    if not found:
        raise SteadylineError(
            "nothing_connected",
            "no site below sites/ has data in the store",
            hint="steadyline demo, or steadyline connect SITE --data DIR",
        )
    return found


@app.command(epilog="Example: `steadyline demo --no-serve`")
def demo(
    serve_after: Annotated[bool, typer.Option("--serve/--no-serve", help="Leave the service running afterwards.")] = True,
    size: Annotated[Literal["tiny", "demo"], typer.Option(help="Size of the virtual plants.")] = "demo",
    port: Annotated[int, typer.Option(help="Port of the service.")] = 3000,
) -> None:
    """The main job on virtual plants (simulated): exports, one language, models, scores, work orders, service."""
    from rich.console import Console

    from plant.connect import connect as run_connect
    from plant.show import render_connected
    from plant.virtual import simulate as run_simulation
    from serving.orders import order_for
    from serving.report import render_batches, render_equipment, render_orders
    from serving.scoring import Scorer
    from training.promote import promote as run_promote

    home, console = state_home(), Console()
    sites = [_site("sites/virtual_dublin"), _site("sites/virtual_graz")]
    console.rule("1. Two plants that disagree, connected into one language")
    for site in sites:
        with _progress() as tell:
            run_simulation(site.name, size, DEMO_SEED, home / "simulated" / site.name, tell)
            connected = run_connect(site, _data(site, None), store_root(home), tell)
        render_connected(console, connected)
    site = sites[0]
    console.rule(f"2. Models of {site.name}, judged on later time")
    with _progress() as tell:
        tasks = _train(site, None, tell)
    _render_tasks(console, tasks)
    for task in tasks:
        if task["beats_baseline"]:
            run_promote(home, site.name, task["model"], task["version"], "demo", "promoted by the demo, on simulated data")
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
    console.print(
        f"State: {home}. Reports: {home / 'reports'}.\n"
        f"Ask for one equipment: steadyline score equipment {site.folder} press-1\n"
        f"Watch for drift:       steadyline monitor {site.folder}\n"
        "Your own plant:        docs/reference/site-yaml.md, then steadyline run sites/YOURS --data DIR",
        highlight=False, soft_wrap=True,
    )
    if serve_after:
        serve([str(s.folder) for s in sites], "127.0.0.1", port)
    else:
        console.print(f"Serve it:              steadyline serve {site.folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
