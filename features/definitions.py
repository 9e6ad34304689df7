"""How a feature is declared: once, with its meaning, right above the function that computes it.

A `FeatureSet` is a block of `features:` in a model's YAML. Its decorator `feature` registers a `Definition`: templates
of the name and of what users read, the parameters that it is spread over, and the computation. `features.catalogue`
expands the definitions of a plan to features and evaluates them; training, serving, reasons, drift reports and the
reference page all read the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from features.asof import Floats, History, Ints, Words
from features.readings import ReadingsLike
from features.spec import FeatureSpec, Vocabulary, window_us

Kind = Literal["equipment", "batch"]
Values = dict[str, str]
Domain = Callable[[FeatureSpec, Vocabulary], list[Values]]
T = TypeVar("T")

_UNIT_WORDS = (("d", 86_400_000_000, "day"), ("h", 3_600_000_000, "hour"), ("min", 60_000_000, "minute"))


@dataclass(frozen=True, eq=False)
class Kept:
    """What is computed once and used again."""

    _kept: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, once for each `key`."""
        if key not in self._kept:
            self._kept[key] = make()
        out: T = self._kept[key]
        return out


@dataclass(frozen=True, eq=False)
class Whole(Kept):
    """The matrix that some rows belong to; t: the cut-offs of all its rows. It keeps what all rows need."""

    t: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Ask:
    """Some rows of a matrix, and what is needed to compute their features.

    ids: the subjects (equipment or batches). subject (n,): index into `ids` of each row. t (n,): cut-offs, int64
    microseconds; a feature is made of what was known strictly before.
    """

    history: History
    spec: FeatureSpec
    words: Vocabulary
    ids: Words
    subject: Ints
    t: Ints
    load: Callable[[], ReadingsLike]
    matrix: Whole
    _kept: Kept = field(default_factory=Kept, repr=False)

    def readings(self) -> ReadingsLike:
        """The readings of (at least) the equipment of these rows; of batches those of all equipment."""
        return self.load()

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, once for each `key`: what several definitions need of these rows."""
        return self._kept.keep(key, make)

    def base(self, table: str, column: str = "equipment_id") -> Ints:
        """(n,) code of each row's subject in `column` of a table's log; -1 where the table has no row of it."""
        return self.keep(
            ("base", table, column), lambda: self.history.log(table).seek(column, self.ids)[self.subject]
        )


@dataclass(frozen=True)
class Trace:
    """A feature's value whose source rows are wanted: of `subject` at `t`, for the `values` of its parameters.

    known(table, column=word, ...) gives the rows of a table that were known strictly before `t` and have those words.
    look_back: how far back the feature reads, None without a limit. words: the vocabulary of the plan.
    """

    subject: str
    t: pd.Timestamp
    spec: FeatureSpec
    words: Vocabulary
    values: Values
    look_back: pd.Timedelta | None
    known: Callable[..., pd.DataFrame]

    @property
    def start(self) -> pd.Timestamp | None:
        """Where the look-back begins; None without a limit."""
        return None if self.look_back is None else self.t - self.look_back


Lines = dict[str, pd.DataFrame]


def _always(spec: FeatureSpec, words: Vocabulary) -> bool:
    return True


@dataclass(frozen=True)
class Definition:
    """A family of features: one for each combination of the values of its parameters.

    name, meaning, unit, source, group, look_back: templates such as `maintenance.count.{kind}.{window}`; a reason is
    summed by `group`. over: the parameters, each a function of spec and vocabulary that gives the template's values;
    one that gives nothing leaves the family out, and so does `when`. categories: words that the value counts through.
    compute: (n, and the length of each of `over`) values, NaN where not known.

    Lineage, independent of `compute`: the value is made of the rows of `source` that are of the subject, have the words
    of `where` (column, template; an empty template: the column is empty) and stand within the look-back by the time
    column `at`; `last` says that only those at the last such time count. Where that takes more, as a join does, `rows`
    finds the rows of each table.
    """

    name: str
    meaning: str
    unit: str
    source: str
    group: str
    look_back: str
    over: tuple[Domain, ...]
    categories: tuple[str, ...] | Callable[[Vocabulary, Values], tuple[str, ...]]
    when: Callable[[FeatureSpec, Vocabulary], bool]
    compute: Callable[[Ask], Floats]
    where: tuple[tuple[str, str], ...] = ()
    at: str = ""
    last: bool = False
    rows: Callable[[Trace], Lines] | None = None


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of one source, switched and parametrised by the block `key` of `features:` in a model's YAML.

    words: the vocabulary that its parameters need, as `words(history, spec, t, equipment)` from what was known strictly
    before `t` (microseconds) about the `equipment` that the model is for (empty for batches). on: whether a spec asks
    for the set, where that is not just its block.
    """

    key: str
    kind: Kind
    meaning: str
    words: Callable[[History, FeatureSpec, int, frozenset[str]], dict[str, Any]] | None = None
    on: Callable[[FeatureSpec], bool] | None = None
    definitions: list[Definition] = field(default_factory=list)

    def asked(self, spec: FeatureSpec) -> bool:
        """Whether a model's spec asks for this set."""
        return self.on(spec) if self.on is not None else bool(getattr(spec, self.key))

    def feature(
        self, name: str, meaning: str, unit: str = "", *, source: str, group: str, look_back: str = "since start",
        over: tuple[Domain, ...] = (), when: Callable[[FeatureSpec, Vocabulary], bool] = _always,
        categories: tuple[str, ...] | Callable[[Vocabulary, Values], tuple[str, ...]] = (),
        where: tuple[tuple[str, str], ...] = (), at: str = "", last: bool = False,
        rows: Callable[[Trace], Lines] | None = None,
    ) -> Callable[[Callable[[Ask], Floats]], Callable[[Ask], Floats]]:
        """Registers the function below as the computation of the features that it describes (see `Definition`)."""

        def register(compute: Callable[[Ask], Floats]) -> Callable[[Ask], Floats]:
            self.definitions.append(
                Definition(name, meaning, unit, source, group, look_back, over, categories, when, compute,
                           where, at, last, rows)
            )
            return compute

        return register


def plain(window: str) -> str:
    """`24h` as a user reads it: "24 h"; `7d`: "7 days"."""
    length = window_us(window)
    for suffix, size, word in _UNIT_WORDS:
        if window.endswith(suffix):
            count = length // size
            return f"{count} h" if suffix == "h" else f"{count} {word}{'s' if count != 1 else ''}"
    raise ValueError(window)


def windows(key: str) -> Domain:
    """The look-back windows of the block `key`: `{window}` as in a name, `{length}` as a user reads it."""

    def over(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
        return [{"window": w, "length": plain(w)} for w in getattr(spec, key).windows]

    return over


def each(parameter: str, words_of: str) -> Domain:
    """The words of the vocabulary's field `words_of` as `{parameter}`."""

    def over(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
        return [{parameter: w} for w in getattr(words, words_of)]

    return over
