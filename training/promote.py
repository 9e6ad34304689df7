"""Making a version the champion: governance decides and records, MLflow's alias follows."""

from __future__ import annotations

from pathlib import Path

from governance import database, versions
from plant.errors import UnknownId, did_you_mean, listing
from plant.home import mlruns_folder
from training.registry import set_champion


def find_model(home: Path, model: str, site: str | None) -> tuple[str, str]:
    """(site, model) of `model` or `site/model`. Raises UnknownId when it was never trained, or at several sites."""
    if "/" in model:
        site, model = model.split("/", 1)
    with database.reading(database.connect(home)) as connection:
        trained = sorted({(v.site, v.model) for v in versions.list_versions(connection)})
    found = [t for t in trained if t[1] == model and site in (None, t[0])]
    if len(found) == 1:
        return found[0]
    names = [f"{s}/{m}" for s, m in trained]
    if found:
        raise UnknownId(
            "ambiguous_model",
            f"model '{model}' was trained at several sites",
            listing(f"{s}/{m}" for s, m in found),
            "name it as SITE/MODEL",
        )
    raise UnknownId(
        "unknown_model",
        f"no model '{model}' was ever trained{did_you_mean(model, [m for _, m in trained])}",
        f"trained models: {listing(names)}" if names else "no model was trained in this home yet",
        "steadyline train SITE MODEL",
    )


def promote(home: Path, site: str, model: str, version: str, actor: str, reason: str | None) -> versions.Promotion:
    """Promote a version. Raises governance.errors.Refused when it did not beat its baseline, or does not exist.

    The database decides; the alias is moved after it has committed, so a refusal leaves MLflow untouched.
    """
    with database.connect(home).begin() as connection:
        if reason is None:
            verdict = versions.get(connection, site, model, version).evidence.get("verdict", "")
            reason = f"backtest: {verdict}; no further reason was given"
        promotion = versions.promote(connection, site, model, version, actor, reason)
    set_champion(mlruns_folder(home), site, model, version)
    return promotion
