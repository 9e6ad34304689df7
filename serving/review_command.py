"""Commands about batches: review by exception, what a reviewer says of it; `steadyline.py` hangs them in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plant.commands import AsJson, SiteFolder, option

if TYPE_CHECKING:
    from rich.console import Console

At = Annotated[str | None, option("--at", metavar="T", help="What was known strictly before T, an ISO time with zone.")]
_Batch = Annotated[
    str | None, typer.Argument(metavar="[BATCH]", help="Batch of the site; without one: the batches that wait.")
]
_About = Annotated[str | None, option("--exception", metavar="ID", help="Exception that you decide on.")]
_Decision = Annotated[str | None, option("--decision", metavar="WORD", help="With --exception: agree or override.")]
_Reviewer = Annotated[str | None, option("--as", metavar="USER", help="With --exception: who decides; it is recorded.")]
_Reason = Annotated[str | None, option("--reason", metavar="TEXT", help="Why; required to override.")]
_Html = Annotated[Path | None, option("--html", metavar="FILE", help="Write the page that is printed and filed.")]
_COLOUR = {"critical": "bold red", "major": "yellow", "minor": "default"}


def review(
    site: SiteFolder,
    batch: _Batch = None,
    at: At = None,
    exception: _About = None,
    decision: _Decision = None,
    user: _Reviewer = None,
    reason: _Reason = None,
    html: _Html = None,
    as_json: AsJson = False,
) -> None:
    """Show what of a batch a person has to look at, from all systems at once; record what the reviewer says of it.

    Without a batch: those that wait for a disposition, the ones with the gravest exceptions first.
    """
    from plant.errors import SteadylineError
    from plant.terminal import open_site, progress, show
    from serving.requests import parse_time

    chosen, t = open_site(site), parse_time(at)
    if exception is None and (decision or user or reason):
        raise SteadylineError(
            "no_exception",
            "--decision, --as and --reason say something of an exception",
            "--exception ID with them",
            f"steadyline review {site} {batch} lists the ids",
        )
    if batch is None:
        from serving.review_queue import MOST_REVIEWED

        if exception is not None or html is not None:
            raise SteadylineError("no_batch", "--exception and --html are about one batch", "a BATCH with them",
                                  f"steadyline review {site} lists the batches that wait")
        with progress(quiet=as_json) as tell:
            waiting = _desk(chosen.folder).queue(chosen.name, t, MOST_REVIEWED, tell)
        show(waiting, as_json, lambda console: render_queue(console, waiting))
        return
    with progress(quiet=True) as tell:
        tell(f"reviewing {batch}")
        desk = _desk(chosen.folder)
        if exception is not None:
            made = desk.decide(batch, exception, decision or "", user or "", reason or "", chosen.name, t)
            show(made, as_json, lambda console: _told(console, made))
            return
        answer = desk.review(batch, chosen.name, t)
    if html is not None:
        from serving.pages import render_review

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_review(answer), encoding="utf-8")
    show(answer, as_json, lambda console: render(console, answer))


def _desk(folder: Path) -> Any:
    from plant.home import state_home
    from serving.fleet import Fleet
    from serving.review_desk import ReviewDesk

    return ReviewDesk(Fleet(state_home(), [folder]))


def render(console: Console, answer: dict[str, Any]) -> None:
    """The review at a terminal."""
    from rich.markup import escape
    from rich.table import Table

    from serving.words import when

    zone, counts = answer["time_zone"], answer["counts"]
    simulated = " (simulated)" if answer["simulated"] else ""
    console.print(
        f"Batch {answer['batch_id']} of {answer['product']}{simulated}, as known before {when(answer['as_of'], zone)}",
        highlight=False,
        markup=False,
    )
    told = ", ".join(f"{counts[s]} {s}" for s in _COLOUR)
    console.print(f"{told}; {counts['cleared']} of {counts['entries']} entries cleared", highlight=False)
    if answer["exceptions"]:
        table = Table(title="Exceptions", title_justify="left", show_lines=False)
        for name in ("severity", "system", "when", "what", "id", "review"):
            table.add_column(name, overflow="fold", no_wrap=name == "id")  # an id is copied
        for e in answer["exceptions"]:
            at = when(e["at"]["utc"], zone) if e["at"] else ""
            said = e["review"]
            table.add_row(
                f"[{_COLOUR[e['severity']]}]{e['severity']}[/]",
                escape(e["system"]),
                at,
                escape(e["text"]),
                e["exception_id"],
                "" if said is None else escape(_word(said)),
            )
        console.print(table)
    if answer["predicted"]:
        _predicted(console, answer["predicted"])
    table = Table(title="Checked", title_justify="left")
    for name in ("check", "system", "entries", "cleared", "remarks"):
        table.add_column(name, overflow="fold", justify="right" if name in ("entries", "cleared") else "left")
    for c in answer["checked"]:
        notes = "; ".join(c["notes"]) or ("" if c["done"] else "nothing to look at")
        table.add_row(c["check"], escape(c["system"]), f"{c['entries']} {c['entry']}", str(c["cleared"]), escape(notes))
    console.print(table)
    decided = answer["disposition"]["decision"]
    console.print(
        f"Disposition: {decided} (by a person, in the quality system)"
        if decided
        else "Disposition: none. A person decides; this software never does.",
        highlight=False,
    )


def _predicted(console: Console, expected: list[dict[str, Any]]) -> None:
    """What results to come are expected to be."""
    from rich.markup import escape
    from rich.table import Table

    from serving.words import expectation, percent, plain, specified, stage

    table = Table(title=f"Results to come, as expected {stage(expected[0]['gate'])}", title_justify="left")
    for name in ("attribute", "expected", "limits", "out of spec", "verdict"):
        table.add_column(name, overflow="fold")
    for a in expected:
        risk = a["prob_out_of_spec"]
        told, sure = expectation(a)
        table.add_row(escape(plain(a["attribute"])), f"{told}, {sure}", specified(a),
                      "" if risk is None else percent(risk), plain(a["verdict"]))
    console.print(table)


def render_queue(console: Console, answer: dict[str, Any]) -> None:
    """The batches that wait, at a terminal."""
    from rich.markup import escape
    from rich.table import Table

    from serving.words import when

    zone = answer["time_zone"]
    simulated = " (simulated)" if answer["simulated"] else ""
    table = Table(
        title=f"{answer['waiting']} batches wait for a disposition{simulated}, as known before "
        f"{when(answer['as_of'], zone)}",
        title_justify="left",
    )
    for name in ("batch", "ended", "critical, major, minor", "to review", "first"):
        table.add_column(name, no_wrap=name == "batch", overflow="fold")
    for b in answer["batches"]:
        counts, first = b["counts"], b["first"]
        of = counts["reviewed"] + counts["to_review"]
        table.add_row(
            f"{escape(b['batch_id'])}\n[dim]{escape(b['product'])}[/]",
            when(b["ended_at"], zone) if b["ended_at"] else "running",
            ", ".join(f"[{colour}]{counts[s]}[/]" if counts[s] else "0" for s, colour in _COLOUR.items()),
            f"{counts['to_review']} of {of}", escape(first["text"]) if first else "nothing found",
        )
    console.print(table)
    for count, said in ((answer["not_shown"], "more"), (answer["older"], "that ended over sixty days before")):
        if count:
            console.print(f"{count} {said} are not shown", highlight=False)


def _word(said: dict[str, Any]) -> str:
    text = f"{said['decision']} ({said['reviewer']})" + (f": {said['reason']}" if said["reason"] else "")
    return text if said["state"] == "holds" else f"evidence changed, review again; before: {text}"


def _told(console: Console, made: dict[str, Any]) -> None:
    console.print(f"Recorded: {_word(made['review'])}", highlight=False, markup=False)
    console.print(f"  {made['severity']} {made['kind']}: {made['text']}", highlight=False, markup=False)
