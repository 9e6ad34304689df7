"""What the leakage audit says: one finding a feature and check, with what was measured and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from plant.errors import SteadylineError

BLOCKS, WARNS, ACCEPTED = "blocks", "warning", "accepted"

NEXT = {
    "future": "correct the computation: a feature at t reads only what was known strictly before t",
    "rows": "compute each row from its own history, never from the other rows of the matrix",
    "countdown": "take the source out of the features, or map the time at which each value became known",
    "label echo": "take the source out of the features, or map the time at which each value became known",
    "target echo": "take the value out of the features, or name its attribute a target of the model",
    "serving": "take the feature out of the model, or connect the source that stopped",
    "embargo": "learn only from labels that were known when the fold begins",
    "overlap": "put a batch on one side of the split only",
}


@dataclass(frozen=True)
class Finding:
    """One feature (or "" for the split as a whole) under one check.

    measured, limit: in the check's own unit, as `reason` says. verdict: blocks, warning or accepted; an accepted
    finding carries the reason from the model's YAML in `accepted`.
    """

    check: str
    feature: str
    measured: float
    limit: float
    reason: str
    verdict: str = BLOCKS
    accepted: str = ""

    @property
    def next(self) -> str:
        """What to do about it."""
        return NEXT.get(self.check, "look at it before you trust the model")

    def line(self) -> str:
        """One line for an error: feature, reason, figures."""
        return f"{self.feature or 'the split'} ({self.check}): {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "next": self.next}


@dataclass(frozen=True)
class Audit:
    """The audit of one model: every finding, and what was looked at, so that a pass is evidence and not a word.

    checks: per check its counts and limits. strongest: the features that alone tell most. unused: accept entries that
    match no finding.
    """

    findings: tuple[Finding, ...]
    checks: tuple[dict[str, Any], ...]
    strongest: tuple[dict[str, Any], ...]
    features: int
    rows: int
    unused: tuple[str, ...] = ()

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.verdict == BLOCKS)

    @property
    def passed(self) -> bool:
        return not self.blocking

    def as_dict(self) -> dict[str, Any]:
        """JSON values, as the evidence of a version keeps them."""
        return {
            "passed": self.passed,
            "features": self.features,
            "rows": self.rows,
            "checks": list(self.checks),
            "strongest": list(self.strongest),
            "findings": [f.as_dict() for f in self.findings],
            "unused_accepts": list(self.unused),
        }


def concluded(
    findings: Sequence[Finding],
    accept: Mapping[str, str],
    checks: Sequence[dict[str, Any]],
    strongest: Sequence[dict[str, Any]],
    features: int,
    rows: int,
) -> Audit:
    """The audit, with what the model's YAML accepts (names or patterns with `*`) no longer blocking."""
    out, used = [], set()
    for finding in findings:
        match = [pattern for pattern in accept if finding.feature and fnmatchcase(finding.feature, pattern)]
        used.update(match)
        if match and finding.verdict == BLOCKS:
            finding = replace(finding, verdict=ACCEPTED, accepted=accept[match[0]])
        out.append(finding)
    order = {BLOCKS: 0, ACCEPTED: 1, WARNS: 2}
    out.sort(key=lambda f: (order[f.verdict], f.check, f.feature))
    unused = tuple(sorted(set(accept) - used))
    return Audit(tuple(out), tuple(checks), tuple(strongest), features, rows, unused)


def require_passed(audit: Audit, model: str) -> None:
    """Raises SteadylineError (leakage) with one line for each blocking finding."""
    blocking = audit.blocking
    if blocking:
        count = len({f.feature for f in blocking})
        raise SteadylineError(
            "leakage",
            f"model '{model}' was not trained: {count} feature{'s' if count > 1 else ''} would know the future",
            "features made of what was known strictly before the cut-off, and a split without overlap",
            f"{blocking[0].next}; `steadyline audit-features {model}` shows all figures; what is honest after all is "
            "accepted with a reason under `audit: accept:` in the model's YAML",
            [f.line() for f in blocking],
        )
