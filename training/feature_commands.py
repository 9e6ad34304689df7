"""Commands about features: which a model has, and what a value was made of; `steadyline.py` hangs them in."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from plant.commands import AsJson, SiteFolder, option

_Model = Annotated[str, typer.Argument(metavar="MODEL", help="Model of the site.")]
_Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="Equipment or batch, as the model is for.")]
_At = Annotated[
    str | None, option("--at", metavar="TIME", help="Cut-off, an ISO time with zone. Default: the end of the data.")
]
_Feature = Annotated[
    list[str] | None, option("--feature", metavar="NAME", help="Only this feature, or pattern of features; repeatable.")
]


def features(site: SiteFolder, model: _Model, as_json: AsJson = False) -> None:
    """List the features of a model on the connected data: meaning, unit, how far back they read, source."""
    from plant.terminal import open_site, show
    from training.features import model_plan
    from training.show import render_features

    chosen = open_site(site)
    _, plan = model_plan(chosen, model)
    answer = {"site": chosen.name, "model": model, **plan.to_json()}
    answer = {k: answer[k] for k in ("site", "model", "kind", "train_end", "features")}
    show(answer, as_json, lambda console: render_features(console, answer))


def explain(
    site: SiteFolder, model: _Model, subject: _Subject, at: _At = None, feature: _Feature = None,
    as_json: AsJson = False,
) -> None:
    """Show what the features of an equipment or batch were made of: each value with its source rows, file and line."""
    from plant.terminal import open_site, progress, show
    from training.features import explained
    from training.show import render_explained

    chosen = open_site(site)
    with progress(quiet=True) as tell:
        tell("looking for the source rows")
        answer: dict[str, Any] = explained(chosen, model, subject, at, feature or [])
    show(answer, as_json, lambda console: render_explained(console, answer))
