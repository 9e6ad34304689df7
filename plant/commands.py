"""Commands of the plant: simulate, connect, sites, quarantine; `steadyline.py` hangs them in."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from plant.home import reports_folder, state_home, store_root

site_app = typer.Typer(no_args_is_help=True, help="Start, check and compare sites.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that were put aside: list, look, release.")



def option(*names: str, metavar: str, help: str) -> Any:
    """An option without a default to show."""
    # A folder that may not be read is refused by us, in the form that was asked for.
    return typer.Option(*names, metavar=metavar, help=help, show_default=False, readable=False)


SiteFolder = Annotated[str, typer.Argument(metavar="SITE", help="Site folder, such as sites/virtual_dublin.")]
DataFolder = Annotated[Path | None, option("--data", metavar="DIR", help="Folder that holds the site's exports.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output.")]
_Table = Annotated[str | None, option("--table", metavar="TABLE", help="Only rows of this table.")]
_Source = Annotated[str | None, option("--source", metavar="SOURCE", help="Only rows of this source.")]
_Reason = Annotated[str | None, option("--reason", metavar="TEXT", help="Only rows whose reason holds this text.")]


def simulate(
    site: SiteFolder,
    size: Annotated[Literal["tiny", "demo", "large"], typer.Option(help="tiny takes seconds.")] = "demo",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.", min=0)] = 7,
    out: Annotated[Path | None, option("--out", metavar="DIR", help="Default: below STEADYLINE_HOME.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the exports of a virtual plant (simulated), and apart from them the truth behind."""
    from plant.terminal import open_site, progress, show
    from plant.virtual import simulate as run_simulation

    chosen = open_site(site)
    target = out or state_home() / "simulated" / chosen.name
    with progress() as tell:
        summary = run_simulation(chosen.name, size, seed, target, tell)
    show(
        summary.as_dict(),
        as_json,
        lambda console: console.print(f"Simulated {chosen.name} ({size}, seed {seed}) into {target}: exports/, truth/"),
    )


def connect(
    site: SiteFolder,
    data: DataFolder = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep polling; tell what is new, until stopped.")] = False,
    every: Annotated[str, typer.Option(metavar="DURATION", help="With --watch: time between polls.")] = "60s",
    as_json: AsJson = False,
) -> None:
    """Load a site's exports into the plant language; say what did not fit and what it harms."""
    from plant import receipt
    from plant.terminal import data_folder, open_site, progress, show, site_folder, tell_error

    home, store = state_home(), store_root(state_home())
    folder = site_folder(site)
    exports = data or home / "simulated" / folder.name / "exports"
    if as_json and not watch and (known := receipt.unchanged(store, folder, exports)) is not None:
        show(known, True, print)
        return

    from plant.connect import Connected
    from plant.connect import connect as run_connect
    from plant.show import render_connected, write_report
    from plant.watch import seconds
    from plant.watch import watch as run_watch

    pause = seconds(every)

    def once() -> Connected:
        chosen = open_site(site)  # anew each time: a mapping may be mended while it watches
        with progress() as tell:
            return run_connect(chosen, data_folder(chosen, data), store, tell)

    for connected in run_watch(once, pause, tell_error) if watch else [once()]:
        report = write_report(connected, reports_folder(home))
        answer = {**connected.as_dict(), "report": str(report)}
        receipt.keep(store, connected.site, exports, answer, connected.snapshot.manifest, connected.labels)
        show(answer, as_json, partial(render_connected, connected=connected, report=report), lines=watch)


@site_app.command("new", epilog="Example: `steadyline site new graz exports/*.csv --time-zone Europe/Vienna`")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the site: letters, digits, - and _.")],
    exports: Annotated[list[Path], typer.Argument(metavar="EXPORT...", help="Files, or folders of files.")],
    out: Annotated[Path | None, option("--out", metavar="DIR", help="Default: sites/NAME.")] = None,
    time_zone: Annotated[
        str | None, option("--time-zone", metavar="ZONE", help="Zone of times that name none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented starter of a site from the files it is pointed at, and say what was guessed."""
    from plant.starter import new_site, render_starter
    from plant.terminal import show

    starter = new_site(name, exports, out or Path("sites") / name, time_zone)
    show(starter.as_dict(), as_json, lambda console: render_starter(console, starter))


@site_app.command("check", epilog="Example: `steadyline site check sites/azure_pdm`")
def check(site: SiteFolder, as_json: AsJson = False) -> None:
    """Read a site.yaml and what belongs to it; every problem is told in one go. No data is touched."""
    from plant.terminal import open_site, show

    chosen = open_site(site)
    answer = {
        "site": chosen.name,
        "sources": list(chosen.sources),
        "tables": {table: len(items) for table, items in chosen.tables.items()},
        "crosswalks": {name: len(words) for name, words in chosen.crosswalks.items()},
    }
    told = f"{chosen.folder}: {len(chosen.sources)} sources feed {len(chosen.tables)} tables; nothing to mend"
    show(answer, as_json, lambda console: console.print(told, highlight=False))


@site_app.command("diff", epilog="Example: `steadyline site diff sites/virtual_dublin sites/virtual_graz`")
def diff(one: SiteFolder, other: SiteFolder, as_json: AsJson = False) -> None:
    """What two sites do differently: sources, crosswalks, mapped columns."""
    from plant.site_diff import diff as compare
    from plant.site_diff import render_diff
    from plant.terminal import open_site, show

    found = compare(open_site(one), open_site(other))
    show(found.as_dict(), as_json, lambda console: render_diff(console, found))


@site_app.command("schema", epilog="Example: `steadyline site schema > site.schema.json`")
def schema() -> None:
    """Print the JSON Schema of site.yaml, for editors that complete it."""
    from plant.site_schema import site_schema

    print(json.dumps(site_schema(), indent=2, ensure_ascii=False))


@quarantine_app.command("list", epilog="Example: `steadyline quarantine list sites/virtual_dublin`")
def list_rows(
    site: SiteFolder, table: _Table = None, source: _Source = None, reason: _Reason = None, as_json: AsJson = False
) -> None:
    """How many rows are aside, by table, file and reason."""
    from plant.show import grouped, render_groups
    from plant.terminal import show

    groups = grouped(_chosen(site, table, source, reason))
    show({"groups": groups}, as_json, lambda console: render_groups(console, groups))


@quarantine_app.command("show", epilog="Example: `steadyline quarantine show sites/virtual_dublin --table readings`")
def show_rows(
    site: SiteFolder,
    table: _Table = None,
    source: _Source = None,
    reason: _Reason = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="How many rows at most.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """Rows that are aside, each with file, line, reason and its cells."""
    from plant.show import render_rows, rows_as_dicts
    from plant.terminal import show

    aside = _chosen(site, table, source, reason)
    rows = rows_as_dicts(aside.head(limit))
    answer = {"count": len(aside), "rows": rows}
    show(answer, as_json, lambda console: render_rows(console, rows, len(aside)))


@quarantine_app.command("release", epilog="Example: `steadyline quarantine release sites/graz --data exports`")
def release(
    site: SiteFolder,
    data: DataFolder = None,
    table: _Table = None,
    source: _Source = None,
    reason: _Reason = None,
    as_json: AsJson = False,
) -> None:
    """After the mapping was mended: read just the rows that are aside again, and load what fits now."""
    from plant.release import Choice
    from plant.release import release as run_release
    from plant.show import render_released
    from plant.terminal import data_folder, open_site, progress, show

    chosen = open_site(site)
    with progress() as tell:
        released = run_release(
            chosen, data_folder(chosen, data), store_root(state_home()), Choice(table, source, reason), tell
        )
    show(released.as_dict(), as_json, lambda console: render_released(console, released))


def _chosen(site: str, table: str | None, source: str | None, reason: str | None) -> Any:
    """Quarantined rows of a site, as chosen."""
    from plant.release import Choice
    from plant.store import Store
    from plant.terminal import open_site

    chosen = open_site(site)
    aside = Store(store_root(state_home()), chosen.name).snapshot().quarantine()
    return Choice(table, source, reason).of(aside)
