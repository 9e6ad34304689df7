"""What the texts of an equipment's work orders tell at a cut-off, read by the plan's `TextModel`.

A text is known once its order was opened (and recorded), long before somebody codes it at the closing: these features
say what the maintenance features by mode can only say later. An order *tells* a mode when the model's code is that mode
with the confidence that the block asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from features.asof import NEVER, Floats, Ints
from features.definitions import Ask, FeatureSet, Lines, Trace, each, windows
from features.spec import FeatureSpec, TextSpec, Vocabulary, window_us
from features.text import Reading, TextModel
from features.text_fill import ORDERS, reading_of
from features.timeline import Timeline, hours_since, take, timeline

FIELD = "failure_mode"
_FINE = 10_000  # confidences are summed as whole ten-thousandths: exact, whatever comes before them in a sum

TEXTS = FeatureSet("texts", "equipment", "What the texts of the work orders tell.")


def _any_mode(spec: FeatureSpec, words: Vocabulary) -> bool:
    return bool(words.text_modes)


def _settings(spec: FeatureSpec) -> TextSpec:
    return spec.texts if spec.texts is not None else TextSpec()


def _model(words: Vocabulary) -> TextModel:
    if words.text_model is None:
        raise ValueError("a plan with features of texts has a text model")
    return words.text_model


def told_modes(reading: Reading, modes: tuple[str, ...], min_confidence: float) -> Ints:
    """The mode that each text tells: its index in `modes`, -1 for none of them."""
    place, sure = {m: k for k, m in enumerate(modes)}, reading.confidence >= min_confidence
    return np.array([place.get(c, -1) if ok else -1 for c, ok in zip(reading.code, sure, strict=True)], dtype=np.int64)


def _fine(reading: Reading) -> Ints:
    return np.rint(reading.confidence * _FINE).astype(np.int64)


def _key(ask: Ask) -> tuple[object, ...]:
    """What the derived arrays depend on, beside the history."""
    return "texts", _model(ask.words), ask.words.text_modes, _settings(ask.spec).min_confidence


def _told(ask: Ask) -> tuple[Ints, Ints]:
    """Per order version: the mode its text tells (index in the vocabulary, -1 for none of them), and its confidence."""

    def make() -> tuple[Ints, Ints]:
        log = ask.history.log(ORDERS)
        reading = reading_of(log, _model(ask.words), FIELD)
        mode = told_modes(reading, ask.words.text_modes, _settings(ask.spec).min_confidence)
        return np.append(mode, -1)[log.codes["text"]], np.append(_fine(reading), 0)[log.codes["text"]]

    return ask.history.keep((_key(ask), "told"), make)


def _line(ask: Ask, by_mode: bool) -> Timeline:
    """Order versions with a text by equipment (* modes: those that tell one), standing at the opening of the order."""

    def make() -> Timeline:
        log, (mode, _) = ask.history.log(ORDERS), _told(ask)
        equipment, width = log.codes["equipment_id"], len(ask.words.text_modes) if by_mode else 1
        there = (equipment >= 0) & (log.codes["text"] >= 0) & ((mode >= 0) | (not by_mode))
        group = np.where(there, equipment * width + (mode if by_mode else 0), -1)
        groups = len(log.words["equipment_id"]) * width
        return timeline(groups, group, log.times["opened_at"], log.known("text"), log.until)

    return ask.history.keep((_key(ask), "orders", by_mode), make)


def _rows(trace: Trace, *, telling: bool, last: bool) -> Lines:
    """Orders with a text (that tells the mode), opened within the look-back; of them the last ones."""
    rows = trace.known(ORDERS, equipment_id=trace.subject)
    rows = rows[rows["text"].notna()]
    if trace.start is not None:
        rows = rows[rows["opened_at"] >= trace.start]
    if telling:
        rows = rows[_tells(trace, rows)]
    return {ORDERS: rows[rows["opened_at"] == rows["opened_at"].max()] if last else rows}


def _tells(trace: Trace, rows: pd.DataFrame) -> np.ndarray:
    reading = _model(trace.words).predict(str(text) for text in rows["text"])[FIELD]
    return told_modes(reading, (trace.values["mode"],), _settings(trace.spec).min_confidence) == 0


_feature = partial(TEXTS.feature, source=ORDERS, group="order texts", when=_any_mode, at="opened_at")


@_feature("text.since.{mode}", "hours since the last order was opened whose text tells {mode}", "h",
          over=(each("mode", "text_modes"),), rows=partial(_rows, telling=True, last=True))
def since(ask: Ask) -> Floats:
    line, base, modes = _line(ask, by_mode=True), ask.base(ORDERS), ask.words.text_modes
    return hours_since(line, line.latest(base, ask.t, len(modes))[:, :, 0], ask.t[:, None])


@_feature("text.count.{mode}.{window}", "number of orders opened over the last {length} whose text tells {mode}",
          look_back="{window}", over=(each("mode", "text_modes"), windows("texts")),
          rows=partial(_rows, telling=True, last=False))
def count(ask: Ask) -> Floats:
    line, base, modes = _line(ask, by_mode=True), ask.base(ORDERS), ask.words.text_modes
    return np.stack([line.count(base, ask.t, len(modes), window=w) for w in _lengths(ask)], axis=2)


@_feature("text.share.{mode}.{window}",
          "share of {mode} in the texts of the orders opened over the last {length}, weighted by confidence", "share",
          look_back="{window}", over=(each("mode", "text_modes"), windows("texts")),
          rows=partial(_rows, telling=False, last=False))
def share(ask: Ask) -> Floats:
    """NaN where no order of the window has a text that the model can read."""
    base, modes = ask.base(ORDERS), ask.words.text_modes
    out = np.empty((len(ask.t), len(modes), len(_lengths(ask))))
    for k, window in enumerate(_lengths(ask)):
        told = _weights(ask, True, window).at(base, ask.t, len(modes))
        every = _weights(ask, False, window).at(base, ask.t, 1)
        out[:, :, k] = np.where(every > 0, told / np.where(every > 0, every, 1), np.nan)
    return out


@_feature("text.confidence", "how sure the text model is of the failure mode in the last order's text", "probability",
          rows=partial(_rows, telling=False, last=True))
def confidence(ask: Ask) -> Floats:
    line, (_, fine) = _line(ask, by_mode=False), _told(ask)
    at = line.latest(ask.base(ORDERS), ask.t)[:, 0, 0]
    return np.where(at >= 0, take(fine, take(line.row, at)) / _FINE, np.nan)


def _lengths(ask: Ask) -> list[int]:
    return [window_us(w) for w in _settings(ask.spec).windows]


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


def _weights(ask: Ask, by_mode: bool, window: int) -> _Sums:
    def make() -> _Sums:
        line, (_, fine) = _line(ask, by_mode), _told(ask)
        end = np.minimum(line.until, np.where(line.order < NEVER - window, line.order + window, NEVER))
        weight = np.where(line.start < end, take(fine, line.row), 0)
        end = np.maximum(end, line.start)
        group = np.repeat(np.arange(line.groups), np.diff(line.offsets))
        by_start, by_end = np.lexsort((line.start, group)), np.lexsort((end, group))
        begun, ended = (np.concatenate([[0], np.cumsum(weight[o])]).astype(np.int64) for o in (by_start, by_end))
        return _Sums(line.offsets, line.start[by_start], begun, end[by_end], ended)

    return ask.history.keep((_key(ask), "weights", by_mode, window), make)
