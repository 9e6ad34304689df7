"""Every feature there is: the sets, what a plan makes of them, and their evaluation.

Reasons, the reference page and drift reports read the features from here; `assemble` makes the matrix of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, product

import numpy as np
import pandas as pd

from features import (
    batch_steps,
    batches,
    comparisons,
    downtime,
    earlier,
    machine,
    maintenance,
    own,
    rates,
    regimes,
    spectra,
    static,
    text_features,
)
from features.asof import Floats, Ints
from features.definitions import Ask, Definition, FeatureSet, Kind, Values
from features.spec import FeatureSpec, Vocabulary, window_us
from plant.errors import SteadylineError, listing, nearest

SETS: tuple[FeatureSet, ...] = (
    comparisons.SENSORS, regimes.REGIMES, spectra.SPECTRA, maintenance.MAINTENANCE, rates.RATES,
    machine.MACHINE, text_features.TEXTS,
    downtime.EVENTS, downtime.STOPS,
    static.STATIC, static.CALENDAR, own.OWN, batches.BATCH, batch_steps.STEPS, batches.MATERIALS, earlier.RESULTS,
    static.BATCH_CALENDAR,
)


@dataclass(frozen=True)
class Feature:
    """One column of a matrix.

    group: what reasons are summed by (the signal, maintenance, the material, the step). look_back: how far back it
    reads. categories: where the value is a code, the words it counts through; NaN is another or no word.
    """

    name: str
    meaning: str
    unit: str
    source: str
    group: str
    look_back: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """What a plan takes of one definition: features, and for each of them the values of the parameters.

    shape: lengths of the definition's parameters. kept: positions among all combinations of those that are taken.
    """

    definition: Definition
    features: tuple[Feature, ...]
    values: tuple[Values, ...]
    shape: tuple[int, ...]
    kept: Ints


def sets_of(kind: Kind, spec: FeatureSpec) -> list[FeatureSet]:
    """The sets that a spec asks for, in the order of their columns."""
    return [s for s in SETS if s.kind == kind and s.asked(spec)]


def parts_of(kind: Kind, spec: FeatureSpec, words: Vocabulary) -> tuple[Part, ...]:
    """The columns of a plan by definition: one after the other, the last parameter of each fastest.

    Raises SteadylineError where two definitions make the same name (duplicate_feature), and where a pattern of
    `exclude` or of a block's `only` matches no feature (unknown_feature).
    """
    made = [(s, _expanded(d, spec, words)) for s in sets_of(kind, spec) for d in s.definitions if d.when(spec, words)]
    _require_distinct((f.name, f"{s.key}: {p.definition.name}") for s, p in made for f in p.features)
    left_out = matching(spec.exclude, "features.exclude", [f.name for _, p in made for f in p.features])
    for s in sets_of(kind, spec):
        only = getattr(getattr(spec, s.key), "only", ())
        if only:
            names = [f.name for of, p in made if of is s for f in p.features]
            left_out |= set(names) - matching(only, f"features.{s.key}.only", names)
    taken = (_without(part, left_out) for _, part in made)
    return tuple(part for part in taken if part.features)


def features_of(kind: Kind, spec: FeatureSpec, words: Vocabulary) -> tuple[Feature, ...]:
    """The features of a plan in the order of their columns. Raises as `parts_of`."""
    return tuple(chain.from_iterable(p.features for p in parts_of(kind, spec, words)))


def compute(parts: Sequence[Part], ask: Ask) -> Iterator[Floats]:
    """Values of each part in turn, (n, its features). A computation of another shape is an AssertionError naming it."""
    for part in parts:
        made = part.definition.compute(ask)
        wanted = (len(ask.t), *part.shape)
        if made.shape != wanted:
            raise AssertionError(f"feature '{part.definition.name}' was computed in shape {made.shape}, not {wanted}")
        columns = made.reshape(len(ask.t), int(np.prod(part.shape, dtype=np.int64)))
        yield columns if len(part.kept) == columns.shape[1] else columns[:, part.kept]


def look_back_of(look_back: str) -> pd.Timedelta | None:
    """Length of a feature's look-back; None where it is no window (always, now, since start)."""
    try:
        return pd.Timedelta(microseconds=window_us(look_back))
    except ValueError:
        return None


def _expanded(d: Definition, spec: FeatureSpec, words: Vocabulary) -> Part:
    domains = [over(spec, words) for over in d.over]
    values: list[Values] = [dict(chain.from_iterable(v.items() for v in choice)) for choice in product(*domains)]
    features = tuple(
        Feature(
            d.name.format_map(v), d.meaning.format_map(v), d.unit.format_map(v), d.source, d.group.format_map(v),
            d.look_back.format_map(v), d.categories(words, v) if callable(d.categories) else d.categories,
        )
        for v in values
    )
    shape = tuple(len(domain) for domain in domains)
    return Part(d, features, tuple(values), shape, np.arange(len(features)))


def _without(part: Part, names: set[str]) -> Part:
    if not names:
        return part
    kept = [i for i, f in enumerate(part.features) if f.name not in names]
    return Part(
        part.definition, tuple(part.features[i] for i in kept), tuple(part.values[i] for i in kept), part.shape,
        part.kept[kept],
    )


def matching(patterns: Iterable[str], key: str, names: Sequence[str]) -> set[str]:
    """Names that one of the patterns is, or matches. Raises SteadylineError where a pattern matches none."""
    out: set[str] = set()
    for pattern in patterns:
        found = {n for n in names if n == pattern or fnmatchcase(n, pattern)}
        if not found:
            raise SteadylineError(
                "unknown_feature", f"{key} names '{pattern}', and the model has no such feature",
                f"a name or a pattern of: {listing(sorted(names))}",
                _nearest(pattern, names) or "`steadyline features SITE MODEL` lists them",
            )
        out |= found
    return out


def _nearest(pattern: str, names: Sequence[str]) -> str:
    """The nearest name; of a pattern that ends in `*` the nearest beginning of one."""
    if not pattern.endswith(".*"):
        return nearest(pattern, names)
    beginnings = {".".join(n.split(".")[:k]) + ".*" for n in names for k in range(1, n.count(".") + 1)}
    return nearest(pattern, sorted(beginnings))


def _require_distinct(named: Iterable[tuple[str, str]]) -> None:
    """Of (name, definition): raises SteadylineError where two definitions have a name in common."""
    seen: dict[str, str] = {}
    for name, where in named:
        if name in seen:
            raise SteadylineError(
                "duplicate_feature", f"the feature '{name}' is defined twice: by {seen[name]} and by {where}",
                "each name once", "rename one of them; a signal cannot be called as a set of features is",
            )
        seen[name] = where


for _kind in ("equipment", "batch"):
    _require_distinct((d.name, f"{s.key}: {d.compute}") for s in SETS if s.kind == _kind for d in s.definitions)
