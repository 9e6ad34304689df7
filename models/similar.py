"""Similar batches: the nearest by reason profile.

A batch's *reason profile* for an attribute at a stage gate is what each group of features moves its expected result by:
the TreeSHAP contributions of that attribute's model, summed by group, in the attribute's unit (log-odds of failing,
where the laboratory only says pass or fail). Two batches are as far
apart as their profiles (Euclidean distance, in that unit): near are those that the model sees the same things in for
the same reasons, whatever the values that do not matter to the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.catalogue import Feature
from models.explain import group_contributions

Floats = NDArray[np.float64]

NEAREST = 5
_STRONGEST = 3


@dataclass(frozen=True)
class Shared:
    """A reason that both batches have. own, other: what it moves the expected result of each by."""

    group: str
    own: float
    other: float


@dataclass(frozen=True)
class Neighbour:
    """A near batch. index: its row among those that were given; distance: in the attribute's unit."""

    index: int
    distance: float
    shared: tuple[Shared, ...]


def profiles(features: Sequence[Feature], contributions: ArrayLike) -> tuple[list[str], Floats]:
    """Groups and reason profiles (n, groups) of TreeSHAP contributions (n, p + 1)."""
    groups, sums = group_contributions(features, contributions)
    return groups, sums[:, :-1]


def distances(profile: Floats, others: Floats) -> Floats:
    """(n,) Euclidean distance of a profile (groups,) from each of `others` (n, groups)."""
    return np.asarray(np.sqrt(((others - profile) ** 2).sum(axis=1)), dtype=np.float64)


def nearest(groups: Sequence[str], profile: Floats, others: Floats, most: int = NEAREST) -> list[Neighbour]:
    """The `most` nearest of `others` (n, groups), nearest first; of equally near ones the one given first.

    Fewer where fewer are given. A reason is shared where it is among the three strongest of both, and moves both the
    same way.
    """
    far = distances(profile, others)
    own = _strongest(profile)
    out = []
    for i in np.argsort(far, kind="stable")[:most]:
        other = _strongest(others[i])
        both = [g for g in own if g in other and np.sign(profile[g]) == np.sign(others[i, g])]
        shared = tuple(Shared(groups[g], float(profile[g]), float(others[i, g])) for g in both)
        out.append(Neighbour(int(i), float(far[i]), shared))
    return out


def _strongest(profile: Floats) -> list[int]:
    strength = np.abs(profile)
    return [int(g) for g in np.argsort(-strength, kind="stable")[:_STRONGEST] if strength[g] > 1e-12]
