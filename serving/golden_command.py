"""Commands that hold a batch against others: golden batch, similar batches; `steadyline.py` hangs them in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plant.commands import AsJson, SiteFolder, option
from serving.review_command import At

if TYPE_CHECKING:
    from rich.console import Console

_Batch = Annotated[str, typer.Argument(metavar="BATCH", help="Batch of the site.")]
_Step = Annotated[str | None, option("--step", metavar="S", help="Step of the batch. Default: all.")]
_Signal = Annotated[str | None, option("--signal", metavar="X", help="Signal of the step's equipment. Default: all.")]
_Html = Annotated[Path | None, option("--html", metavar="FILE", help="Write the page with the charts.")]
_Attribute = Annotated[str | None, option("--attribute", metavar="A", help="Attribute of the model. Default: all.")]
_Gate = Annotated[str | None, option("--gate", metavar="G", help="Stage gate. Default: the last one passed.")]
_Model = Annotated[str | None, option("--model", metavar="MODEL", help="Quality model, where the site has several.")]


def golden(
    site: SiteFolder, batch: _Batch, step: _Step = None, signal: _Signal = None, at: At = None, html: _Html = None,
    as_json: AsJson = False,
) -> None:
    """Hold each signal of a batch's steps against the usual envelope of good batches of the same product."""
    from plant.terminal import open_site, progress, show
    from serving.golden import golden_batch
    from serving.requests import parse_time

    chosen, t = open_site(site), parse_time(at)
    with progress(quiet=True) as tell:
        tell(f"drawing {batch}")
        answer = golden_batch(_desk(chosen.folder).case(batch, chosen.name, t), step, signal)
    if html is not None:
        from serving.pages import render_golden

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_golden(answer), encoding="utf-8")
    show(answer, as_json, lambda console: render(console, answer))


def similar(
    site: SiteFolder, batch: _Batch, attribute: _Attribute = None, gate: _Gate = None, model: _Model = None,
    at: At = None, as_json: AsJson = False,
) -> None:
    """Show the five earlier batches whose expected result has the most similar reasons, with what was found in them."""
    from plant.terminal import open_site, progress, show
    from serving.requests import parse_time

    chosen, t = open_site(site), parse_time(at)
    with progress(quiet=True) as tell:
        tell(f"looking for batches like {batch}")
        answer = _desk(chosen.folder).similar(batch, chosen.name, t, attribute, gate, model)
    show(answer, as_json, lambda console: render_similar(console, answer))


def _desk(folder: Path) -> Any:
    from plant.home import state_home
    from serving.fleet import Fleet
    from serving.review_desk import ReviewDesk

    return ReviewDesk(Fleet(state_home(), [folder]))


def render(console: Console, answer: dict[str, Any]) -> None:
    """The batch against its envelopes at a terminal: one line a signal."""
    from rich.markup import escape
    from rich.table import Table

    from serving.words import number, when

    zone = answer["time_zone"]
    simulated = " (simulated)" if answer["simulated"] else ""
    console.print(
        f"Batch {answer['batch_id']} of {answer['product']}{simulated} against the golden batch, as known before "
        f"{when(answer['as_of'], zone)}", highlight=False, markup=False,
    )
    console.print(f"References: {answer['reference_rule']}", highlight=False, markup=False)
    for step in answer["steps"]:
        of = step["references"]["count"]
        title = f"{step['step']} on {step['equipment_id'] or 'no equipment'}, {of} reference batches"
        table = Table(title=escape(title), title_justify="left")
        for name in ("signal", "outside 90 %", "usually below", "longest stretch outside"):
            table.add_column(name, overflow="fold")
        for s in step["signals"]:
            share = "–" if s["share_outside"] is None else f"{s['share_outside']:.0%}"
            if s["unusual"]:
                share = f"[yellow]{share}, unusual[/]"
            elif s["share_outside"] is not None and s["usual_outside"] is not None:
                share += ", not unusual"
            longest = s["longest_outside"]
            table.add_row(
                escape(s["signal"]), share,
                "–" if s["usual_outside"] is None else f"{s['usual_outside']:.0%}",
                "" if longest is None else escape(
                    f"{when(longest['from']['utc'], zone)}, {number(longest['hours'])} h {longest['side']}, "
                    f"by up to {number(longest['farthest'])} {s['unit']}"
                ),
            )
        if step["read"]:
            console.print(table)
        else:
            console.print(title, highlight=False, markup=False)
        for note in step["notes"]:
            console.print(f"  {note}", highlight=False, markup=False)
    if not answer["steps"]:
        console.print("No step of this batch was known.", highlight=False)


def render_similar(console: Console, answer: dict[str, Any]) -> None:
    """Similar batches at a terminal, a table an attribute."""
    from rich.markup import escape
    from rich.table import Table

    from serving.similar import result_in_words
    from serving.words import number, plain, stage

    simulated = " (simulated)" if answer["simulated"] else ""
    console.print(
        f"Batch {answer['batch_id']}{simulated} {stage(answer['gate'])}, by {answer['model']} version "
        f"{answer['model_version']}", highlight=False, markup=False,
    )
    for a in answer["attributes"]:
        table = Table(
            title=escape(f"{plain(a['attribute'])}: nearest of {a['candidates']} earlier batches with a result"),
            title_justify="left",
        )
        for name in ("batch", "product", f"distance, {a['unit'] or '1'}", "found", "specification", "shared reasons"):
            table.add_column(escape(name), overflow="fold")
        for s in a["similar"]:
            spec = {True: "in", False: "[bold red]out[/]", None: "none"}[s["outcome"]["in_spec"]]
            why = ", ".join(plain(r["group"]) for r in s["shared_reasons"])
            found = result_in_words(s["outcome"])
            table.add_row(
                escape(s["batch_id"]), escape(s["product"]), number(s["distance"]), escape(found), spec, escape(why)
            )
        console.print(table)
    if answer["hindsight"]:
        console.print(f"Hindsight: the model has learnt from data until {answer['train_end']}", highlight=False)
