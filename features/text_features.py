"""What the texts of an equipment's work orders tell at a cut-off, read by a fitted `TextModel`.

A text is known once its order was opened (and recorded), long before somebody codes it at the closing: these features
say what the maintenance features by mode can only say later. An order *tells* a mode when the model's code is that mode
with a confidence of at least 0.5. Every feature is declared above its computation, as plain data in `DEFINITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from features.asof import NEVER, Floats, History, Ints, Log, Words
from features.spec import window_us
from features.text import TextModel
from features.text_fill import ORDERS, reading_of
from features.timeline import Timeline, hours_since, take, timeline

TELLS = 0.5
SHARE_WINDOWS = ("30d", "90d")
FIELD = "failure_mode"
_FINE = 10_000  # confidences are summed as whole ten-thousandths: exact, whatever comes before them in a sum


@dataclass(frozen=True)
class TextAsk:
    """Rows of a matrix. base (n,): code of each row's equipment in the log of work orders, -1 for none.

    t (n,): cut-offs in microseconds. modes: the failure modes of the plan's vocabulary.
    """

    history: History
    model: TextModel
    modes: tuple[str, ...]
    windows: tuple[str, ...]
    base: Ints
    t: Ints

    @property
    def log(self) -> Log:
        return self.history.log(ORDERS)


@dataclass(frozen=True)
class TextDefinition:
    """A family of features. name, meaning, look_back: templates of {mode} and {window}; over: what they run through.

    compute: values (n, and the length of each of `over`), NaN where not known.
    """

    name: str
    meaning: str
    unit: str
    source: str
    look_back: str
    over: tuple[str, ...]
    compute: Callable[[TextAsk], Floats]


DEFINITIONS: list[TextDefinition] = []


def _feature(
    name: str, meaning: str, unit: str, look_back: str, over: tuple[str, ...]
) -> Callable[[Callable[[TextAsk], Floats]], Callable[[TextAsk], Floats]]:
    def register(compute: Callable[[TextAsk], Floats]) -> Callable[[TextAsk], Floats]:
        DEFINITIONS.append(TextDefinition(name, meaning, unit, ORDERS, look_back, over, compute))
        return compute

    return register


def _told(ask: TextAsk) -> tuple[Ints, Ints]:
    """Per order version: the mode its text tells (index in `modes`, -1 for none of them), and its confidence."""

    def make() -> tuple[Ints, Ints]:
        log, reading = ask.log, reading_of(ask.log, ask.model, FIELD)
        place = {m: k for k, m in enumerate(ask.modes)}
        sure = reading.confidence >= TELLS
        mode = np.array([place.get(c, -1) if ok else -1 for c, ok in zip(reading.code, sure, strict=True)] + [-1])
        fine = np.append(np.rint(reading.confidence * _FINE), 0).astype(np.int64)
        return mode.astype(np.int64)[log.codes["text"]], fine[log.codes["text"]]

    return ask.history.keep(("text: told", ask.model, ask.modes), make)


def _line(ask: TextAsk, by_mode: bool) -> Timeline:
    """Order versions with a text by equipment (* modes: those that tell one), standing at the opening of the order."""

    def make() -> Timeline:
        log, (mode, _) = ask.log, _told(ask)
        equipment, width = log.codes["equipment_id"], len(ask.modes) if by_mode else 1
        there = (equipment >= 0) & (log.codes["text"] >= 0) & ((mode >= 0) | (not by_mode))
        group = np.where(there, equipment * width + (mode if by_mode else 0), -1)
        groups = len(log.words["equipment_id"]) * width
        return timeline(groups, group, log.times["opened_at"], log.known("text"), log.until)

    return ask.history.keep(("text: orders", ask.model, ask.modes, by_mode), make)


@_feature(
    "text.since.{mode}", "Hours since the newest order was opened whose text tells {mode}", "h", "since start",
    ("mode",),
)
def since(ask: TextAsk) -> Floats:
    line = _line(ask, by_mode=True)
    return hours_since(line, line.latest(ask.base, ask.t, len(ask.modes))[:, :, 0], ask.t[:, None])


@_feature(
    "text.count.{mode}.{window}", "Orders opened in the last {window} whose text tells {mode}", "orders", "{window}",
    ("mode", "window"),
)
def count(ask: TextAsk) -> Floats:
    line = _line(ask, by_mode=True)
    by_window = [line.count(ask.base, ask.t, len(ask.modes), window=window_us(w)) for w in ask.windows]
    return np.stack(by_window, axis=2)


@_feature(
    "text.share.{mode}.{share_window}",
    "Share of {mode} in the texts of the orders opened in the last {share_window}, weighted by confidence",
    "share", "{share_window}", ("mode", "share_window"),
)
def share(ask: TextAsk) -> Floats:
    """NaN where no order of the window has a text that the model can read."""
    out = np.empty((len(ask.t), len(ask.modes), len(SHARE_WINDOWS)))
    for k, window in enumerate(SHARE_WINDOWS):
        told = _weights(ask, True, window_us(window)).at(ask.base, ask.t, len(ask.modes))
        every = _weights(ask, False, window_us(window)).at(ask.base, ask.t, 1)
        out[:, :, k] = np.where(every > 0, told / np.where(every > 0, every, 1), np.nan)
    return out


@_feature(
    "text.confidence", "How sure the text model is of the failure mode in the newest order's text", "probability",
    "since start", (),
)
def confidence(ask: TextAsk) -> Floats:
    line, (_, fine) = _line(ask, by_mode=False), _told(ask)
    at = line.latest(ask.base, ask.t)[:, 0, 0]
    return np.where(at >= 0, take(fine, take(line.row, at)) / _FINE, np.nan)


@dataclass(frozen=True)
class _Sums:
    """Weights of rows visible at a cut-off: those that began before it less those that ended before it."""

    offsets: Ints
    starts: Ints
    begun: Ints
    ends: Ints
    ended: Ints

    def at(self, base: Ints, t: Ints, width: int) -> Ints:
        """(n, width): summed weights of the groups base * width + (0 .. width - 1) at the cut-offs t; 0 for base -1."""
        out = np.zeros((len(base), width), dtype=np.int64)
        order = np.argsort(base, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(base[order])) + 1):
            if not len(rows) or base[rows[0]] < 0:
                continue
            for k in range(width):
                group = base[rows[0]] * width + k
                part = slice(self.offsets[group], self.offsets[group + 1])
                first = self.offsets[group]
                before = first + np.searchsorted(self.starts[part], t[rows])
                over = first + np.searchsorted(self.ends[part], t[rows])
                out[rows, k] = (self.begun[before] - self.begun[first]) - (self.ended[over] - self.ended[first])
        return out


def _weights(ask: TextAsk, by_mode: bool, window: int) -> _Sums:
    def make() -> _Sums:
        line, (_, fine) = _line(ask, by_mode), _told(ask)
        end = np.minimum(line.until, np.where(line.order < NEVER - window, line.order + window, NEVER))
        weight = np.where(line.start < end, take(fine, line.row), 0)
        end = np.maximum(end, line.start)
        group = np.repeat(np.arange(line.groups), np.diff(line.offsets))
        by_start, by_end = np.lexsort((line.start, group)), np.lexsort((end, group))
        begun, ended = (np.concatenate([[0], np.cumsum(weight[o])]).astype(np.int64) for o in (by_start, by_end))
        return _Sums(line.offsets, line.start[by_start], begun, end[by_end], ended)

    return ask.history.keep(("text: weights", ask.model, ask.modes, by_mode, window), make)


def columns(
    history: History, model: TextModel, modes: tuple[str, ...], windows: tuple[str, ...], ids: Words, e: Ints, t: Ints
) -> dict[str, Floats]:
    """Features of the equipment `ids[e]` at the cut-offs `t`, by name; nothing where no mode is in the vocabulary."""
    if not modes:
        return {}
    ask = TextAsk(history, model, modes, windows, history.log(ORDERS).seek("equipment_id", ids)[e], t)
    out: dict[str, Floats] = {}
    for definition in DEFINITIONS:
        values = definition.compute(ask)
        for name, _, at in expanded(definition, modes, windows):
            out[name] = values.reshape(len(t), -1)[:, at]
    return out


def expanded(
    definition: TextDefinition, modes: tuple[str, ...], windows: tuple[str, ...]
) -> list[tuple[str, dict[str, str], int]]:
    """(name, values of its parameters, column of the computed array, laid flat) of each feature of a family."""
    run = {"mode": modes, "window": windows, "share_window": SHARE_WINDOWS}
    every = [dict(zip(definition.over, words, strict=True)) for words in product(*(run[p] for p in definition.over))]
    return [(definition.name.format(**values), values, at) for at, values in enumerate(every)]
