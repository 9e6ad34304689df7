"""Commands about what a model is worth: backtest and model card; `steadyline.py` hangs them in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plant.commands import AsJson, SiteFolder, option

_Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model of the site.")]
_Version = Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Version number. Default: the newest.")]
_Html = Annotated[Path | None, option("--html", metavar="FILE", help="Write the report as one HTML file.")]


def backtest(site: SiteFolder, model: _Model, html: _Html = None, as_json: AsJson = False) -> None:
    """Play a failure model over unseen time, in failures prevented and money, beside what a plant does without it."""
    from plant.home import state_home
    from plant.terminal import open_site, progress, show
    from training.backtest_command import render_backtest, run
    from training.backtest_page import page

    chosen = open_site(site)
    with progress() as tell:
        answer = run(chosen, model, state_home(), tell)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page(answer), encoding="utf-8")
        answer["report"] = str(html)
    show(answer, as_json, lambda console: render_backtest(console, answer))


def card(site: SiteFolder, model: _Model, version: _Version = None, as_json: AsJson = False) -> None:
    """Print the model card of a version: what it is for, made of, how good for whom, and its limits."""
    from plant.home import state_home
    from plant.terminal import open_site, show
    from training.backtest_command import find_card
    from training.card import markdown

    chosen = open_site(site)
    found = find_card(chosen, model, version, state_home())
    text = markdown(found, str(found["version"]))
    show(found, as_json, lambda _: typer.echo(text))
