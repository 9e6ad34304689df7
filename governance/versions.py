"""Model versions and which of them is the champion.

A version is registered once and never changed, but for its stage: `challenger` until it is promoted,
`champion` while it serves, `retired` after another took its place. Only a version whose backtest beat its
baseline can be promoted; who did it, when and why is in `promotions` and in the audit trail.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from governance import audit
from governance.database import model_versions, one_at_a_time, promotions
from governance.errors import Refused

CHALLENGER, CHAMPION, RETIRED = "challenger", "champion", "retired"


@dataclass(frozen=True)
class ModelVersion:
    """One trained version: where its bundle lies, what it was made from, how its backtest ended.

    sha256: of the whole bundle. bundle_uri: folder of the bundle. evidence: the backtest against the
    baseline, as JSON. trained_at: aware.
    """

    site: str
    model: str
    version: str
    sha256: str
    task: str
    bundle_uri: str
    data_version: str
    trained_at: datetime
    beats_baseline: bool
    evidence: dict[str, Any] = field(default_factory=dict)
    stage: str = CHALLENGER

    @property
    def subject(self) -> str:
        """How the audit trail names it."""
        return f"{self.site}/{self.model}/{self.version}"


@dataclass(frozen=True)
class Promotion:
    """A version became champion: who, when, why, and which version it replaced."""

    site: str
    model: str
    version: str
    actor: str
    reason: str
    at: datetime
    previous_version: str | None


def register_version(connection: Connection, version: ModelVersion, actor: str, reason: str) -> ModelVersion:
    """Store a newly trained version as a challenger, with an audit row, in the caller's transaction.

    Registering the same version again changes nothing. Raises Refused when the version exists with
    another bundle.
    """
    found = _find(connection, version.site, version.model, version.version)
    if found is not None:
        if found.sha256 != version.sha256:
            raise Refused(
                "version_exists", f"{version.subject} is already registered with bundle {found.sha256[:12]}",
                "a version is registered once", "register the new bundle as a new version",
            )
        return found
    row = asdict(version) | {"stage": CHALLENGER, "version": str(version.version)}
    connection.execute(sa.insert(model_versions).values(**row))
    new = {"sha256": version.sha256, "data_version": version.data_version, "beats_baseline": version.beats_baseline}
    audit.record(connection, actor, "version.registered", version.subject, None, new, reason)
    return get(connection, version.site, version.model, version.version)


def get(connection: Connection, site: str, model: str, version: str) -> ModelVersion:
    """One version. Raises Refused (`unknown_version`) with what there is."""
    found = _find(connection, site, model, str(version))
    if found is None:
        there = [v.version for v in list_versions(connection, site, model)]
        if not there:
            raise _never_trained(connection, site, model)
        raise Refused(
            "unknown_version", f"{site}/{model} has no version {version}",
            f"versions {', '.join(there)}", f"steadyline promote takes one of them for model {model}",
        )
    return found


def list_versions(connection: Connection, site: str | None = None, model: str | None = None) -> list[ModelVersion]:
    """Versions, oldest first; of one site and model where they are given."""
    query = sa.select(model_versions).order_by(
        model_versions.c.site, model_versions.c.model, model_versions.c.trained_at, model_versions.c.version
    )
    if site is not None:
        query = query.where(model_versions.c.site == site)
    if model is not None:
        query = query.where(model_versions.c.model == model)
    return [_version(row) for row in connection.execute(query).mappings()]


def champion(connection: Connection, site: str, model: str) -> ModelVersion | None:
    """The version that serves now, or None."""
    newest = (
        sa.select(promotions.c.version)
        .where(promotions.c.site == site, promotions.c.model == model)
        .order_by(promotions.c.promotion_id.desc()).limit(1).scalar_subquery()
    )
    query = sa.select(model_versions).where(
        model_versions.c.site == site, model_versions.c.model == model, model_versions.c.version == newest
    )
    row = connection.execute(query).mappings().first()  # one question, because every score asks it
    return None if row is None else _version(row)


def champions(connection: Connection, site: str | None = None) -> list[ModelVersion]:
    """All versions that serve now, of one site where it is given."""
    return [v for v in list_versions(connection, site) if v.stage == CHAMPION]


def promote(connection: Connection, site: str, model: str, version: str, actor: str, reason: str) -> Promotion:
    """Make a version the champion, in the caller's transaction; promoting the champion again is refused.

    Raises Refused when the version is unknown, did not beat its baseline, is the champion already, or
    when nobody or no reason is named. Nothing is written then.
    """
    audit.require_words(actor=actor, reason=reason)
    one_at_a_time(connection)
    wanted = get(connection, site, model, version)
    if not wanted.beats_baseline:
        raise Refused(
            "below_baseline", f"{wanted.subject} did not beat its baseline in the backtest",
            "a version whose backtest beat the baseline",
            f"train again with more or newer data (steadyline train {site} {model})",
        )
    current = champion(connection, site, model)
    if current is not None and current.version == wanted.version:
        raise Refused("already_champion", f"{wanted.subject} is the champion already", "another version")
    at = datetime.now(UTC)
    promotion = Promotion(site, model, wanted.version, actor, reason, at, current.version if current else None)
    connection.execute(sa.insert(promotions).values(**asdict(promotion)))
    if current is not None:
        _set_stage(connection, current, RETIRED)
    _set_stage(connection, wanted, CHAMPION)
    old = None if current is None else {"version": current.version, "sha256": current.sha256}
    new = {"version": wanted.version, "sha256": wanted.sha256}
    audit.record(connection, actor, "version.promoted", f"{site}/{model}", old, new, reason)
    return promotion


def promotion_history(connection: Connection, site: str, model: str) -> list[Promotion]:
    """Every promotion of a model, oldest first: what was live when."""
    query = sa.select(promotions).where(promotions.c.site == site, promotions.c.model == model)
    rows = connection.execute(query.order_by(promotions.c.promotion_id)).mappings()
    return [Promotion(**{k: v for k, v in row.items() if k != "promotion_id"}) for row in rows]


def _find(connection: Connection, site: str, model: str, version: str) -> ModelVersion | None:
    row = connection.execute(
        sa.select(model_versions).where(
            model_versions.c.site == site, model_versions.c.model == model, model_versions.c.version == str(version)
        )
    ).mappings().first()
    return None if row is None else _version(row)


def _version(row: RowMapping) -> ModelVersion:
    return ModelVersion(**dict(row))


def _set_stage(connection: Connection, version: ModelVersion, stage: str) -> None:
    connection.execute(
        sa.update(model_versions)
        .where(
            model_versions.c.site == version.site, model_versions.c.model == version.model,
            model_versions.c.version == version.version,
        )
        .values(stage=stage)
    )


def _never_trained(connection: Connection, site: str, model: str) -> Refused:
    there = sorted({v.model for v in list_versions(connection, site)})
    return Refused(
        "unknown_model", f"site {site} has no trained model '{model}'",
        f"models {', '.join(there)}" if there else "no model of this site was trained yet",
        f"steadyline train sites/{site} {model}",
    )
