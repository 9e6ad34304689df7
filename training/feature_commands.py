"""Commands about features: which there are, what a value was made of, the audit; `steadyline.py` hangs them in."""

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


def audit_features(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model's name, or the path of its YAML.")],
    site: Annotated[str | None, option("--site", metavar="SITE", help="Site, where several have the model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look for features that would know the future, as every training does; exit code 1 when one blocks."""
    from plant.home import state_home
    from plant.terminal import progress, show
    from training.audit_command import answer, audit_model, find_model, render_audit

    where, spec = find_model(model, site)
    with progress() as tell:
        audit = audit_model(where, spec, state_home(), tell)
    task = answer(where, spec, audit)
    show(task, as_json, lambda console: render_audit(console, task))
    if not audit.passed:
        raise typer.Exit(1)
