"""`steadyline audit-features`: the model that is meant, its audit on connected data, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.spec import FailureSpec, ModelSpec, QualitySpec, load_model_spec, load_models
from plant.errors import UnknownId, did_you_mean, listing
from plant.home import store_root
from plant.site import Site, load_site
from plant.store import Store
from plant.terminal import site_folder
from training import failure, quality
from training.audit_finding import ACCEPTED, BLOCKS, Audit
from training.texts import rules_for

Progress = Callable[[str], None]
_COLOURS = {BLOCKS: "red", ACCEPTED: "cyan"}


def find_model(model: str, site: str | None) -> tuple[Site, ModelSpec]:
    """The site and the model of a name or of a path to a model's YAML.

    A name is looked for in the sites below `sites/`, a YAML belongs to the site whose `models/` folder holds it; `site`
    (a folder or a name) decides. Raises UnknownId (unknown_model, ambiguous_model, unknown_site).
    """
    path = Path(model)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        spec = load_model_spec(path)
        home = site_folder(site) if site else path.absolute().parent.parent
        if not (home / "site.yaml").is_file():
            raise UnknownId("unknown_site", f"{path} lies in no site's models folder", "a folder with a site.yaml",
                            f"steadyline audit-features {path} --site SITE")
        return load_site(home), spec
    folders = [site_folder(site)] if site else [p.parent for p in sorted(Path("sites").glob("[!_]*/site.yaml"))]
    found = {folder: load_models(folder) for folder in folders}
    having = [folder for folder, specs in found.items() if model in specs]
    names = sorted({name for specs in found.values() for name in specs})
    if not having:
        where = f"site '{folders[0].name}' has" if site else "the sites below sites/ have"
        raise UnknownId("unknown_model", f"{where} no model '{model}'{did_you_mean(model, names)}", listing(names))
    if len(having) > 1:
        raise UnknownId("ambiguous_model", f"{len(having)} sites have a model '{model}'",
                        listing(str(folder) for folder in having), f"name one: --site {having[0]}")
    return load_site(having[0]), found[having[0]][model]


def audit_model(site: Site, spec: ModelSpec, home: Path, progress: Progress = lambda _: None) -> Audit:
    """The audit that a training of this model on the newest data would run. Raises NotReady, SteadylineError."""
    snapshot = Store(store_root(home), site.name).snapshot()
    if isinstance(spec, FailureSpec):
        ready = failure.prepare_failure(snapshot, spec, progress, rules_for(site.folder, spec))
        progress("leakage audit")
        return failure.audit_features(snapshot, spec, ready)
    if not isinstance(spec, QualitySpec):
        raise TypeError(f"no audit for {type(spec).__name__}")
    batches = quality.prepare_quality(snapshot, spec, progress)
    progress("leakage audit")
    return quality.audit_features(snapshot, batches)


def answer(site: Site, spec: ModelSpec, audit: Audit) -> dict[str, Any]:
    """The audit as the command's JSON."""
    return {"site": site.name, "simulated": site.simulated, "model": spec.name, **audit.as_dict()}


def render_audit(console: Console, task: dict[str, Any]) -> None:
    """One row a finding, what to do about what blocks, then what was looked at and the strongest features."""
    simulated = " [bold magenta]SIMULATED[/]" if task["simulated"] else ""
    console.print(f"\n[bold]Leakage audit of {escape(task['model'])}[/] at {escape(task['site'])}{simulated}: "
                  f"{task['features']} features, {task['rows']:,} rows to learn from")
    if task["findings"]:
        table = Table()
        for name in ("feature", "check", "measured", "limit", "verdict", "reason"):
            table.add_column(name, justify="right" if name in ("measured", "limit") else "left", overflow="fold")
        for f in task["findings"]:
            reason = f["reason"] + (f" (accepted: {f['accepted']})" if f["accepted"] else "")
            colour = _COLOURS.get(f["verdict"], "yellow")
            table.add_row(escape(f["feature"] or "the split"), f["check"], f"{f['measured']:.3f}", f"{f['limit']:.3f}",
                          f"[{colour}]{f['verdict']}[/]", escape(reason))
        console.print(table, emoji=False)
    for hint in sorted({f["next"] for f in task["findings"] if f["verdict"] == BLOCKS}):
        console.print(f"  Next: {hint}", highlight=False)
    for name in task["unused_accepts"]:
        console.print(f"  [yellow]audit.accept names '{escape(name)}', which nothing was found about[/]")
    console.print(f"  [dim]looked at: {', '.join(dict.fromkeys(c['check'] for c in task['checks']))}[/]")
    best: dict[str, dict[str, Any]] = {}
    for s in task["strongest"]:
        best.setdefault(s["of"], s)
    for s in best.values():
        console.print(f"  [dim]strongest alone for {escape(s['of'])}: {escape(s['feature'])} ({s['measure']} "
                      f"{s['value']:.3f})[/]", highlight=False, emoji=False)
    if task["passed"]:
        console.print("  verdict: [green]no feature knows the future[/]")
    else:
        count = len({f["feature"] for f in task["findings"] if f["verdict"] == BLOCKS})
        console.print(f"  verdict: [red]training is blocked by {count} feature{'s' if count > 1 else ''}[/]")
