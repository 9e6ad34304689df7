"""Codes of work orders that nobody entered, filled from their texts; a coded value is never overwritten.

In hindsight `filled_codes` gives one code a version. At a cut-off there is more to it: a code that a person enters at
the closing was not known before, and until then the text is all that there is (`codes_in_time`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.asof import NEVER, Floats, Ints, Log, Mask, Words
from features.text import OTHER, UNKNOWN, Reading, TextModel
from plant.errors import SteadylineError

ORDERS = "work_orders"
CODED, TEXT, RULE, NOBODY = "coded", "text", "rule", ""
FILL_CONFIDENCE = 0.8


@dataclass(frozen=True)
class Filled:
    """One entry a row of the log. code: None where neither a person nor the text tells it confidently enough.

    confidence: 1 of a coded value, the model's of a filled one, 0 where there is none. source: "coded", "text" (the
    fitted model), "rule" (rules alone) or "" (no code).
    """

    code: Words
    confidence: Floats
    source: Words


def filled_codes(
    log: Log, model: TextModel, name: str = "failure_mode", min_confidence: float = FILL_CONFIDENCE
) -> Filled:
    """The code of each order version, in the log's order: the coded one, else what its text tells confidently enough.

    What a version's text tells is known as soon as the text is (`log.known("text")`), a coded value when its column
    says. `other`, `unknown` and codes parted by a separator count as the model gives them; the first two never fill.
    Raises SteadylineError (unknown_field, bad_confidence).
    """
    by_word, told = _told(log, model, name, min_confidence)
    code = np.full(log.size, None, dtype=object)
    confidence, source = np.zeros(log.size), np.full(log.size, NOBODY, dtype=object)
    rows = np.flatnonzero(told)
    of = log.codes["text"][rows]
    code[rows], confidence[rows] = by_word.code[of], by_word.confidence[of]
    source[rows] = np.where(by_word.by_rule[of], RULE, TEXT)
    if name in log.codes:
        rows = np.flatnonzero(log.codes[name] >= 0)
        words = np.array(log.words[name], dtype=object)
        code[rows], confidence[rows], source[rows] = words[log.codes[name][rows]], 1.0, CODED
    return Filled(code, confidence, source)


def _told(log: Log, model: TextModel, name: str, min_confidence: float) -> tuple[Reading, Mask]:
    """What the model says of each distinct text, and the row versions (n,) whose text tells a code confidently."""
    if not 0.0 < min_confidence <= 1.0:
        raise SteadylineError("bad_confidence", f"a confidence of {min_confidence}", "above 0, at most 1")
    model.head(name)
    by_word = reading_of(log, model, name)
    return by_word, np.append(fills(by_word, min_confidence), False)[log.codes["text"]]


def fills(reading: Reading, min_confidence: float) -> Mask:
    """(n,) whether what was read may stand for a code that nobody entered."""
    usable: Mask = (reading.confidence >= min_confidence) & (reading.code != OTHER) & (reading.code != UNKNOWN)
    return usable


@dataclass(frozen=True)
class Codes:
    """Codes of order versions while they count, sorted by version: `code` (index into `words`) of the version `row`.

    It is visible at the cut-offs t with start < t <= until; of a version at most one is at a time.
    """

    words: tuple[str, ...]
    row: Ints
    code: Ints
    start: Ints
    until: Ints


def codes_in_time(
    log: Log, name: str, model: TextModel | None = None, min_confidence: float = FILL_CONFIDENCE
) -> Codes:
    """The coded values of a column from the time that they are known; before and without, what the text tells.

    Without a model the coded values alone. That a code comes later is no reason not to read the text before.
    Raises as `filled_codes`.
    """
    coded = np.flatnonzero(log.codes[name] >= 0)
    known = log.known(name)
    plain = Codes(log.words[name], coded, log.codes[name][coded], known[coded], log.until[coded])
    if model is None:
        return plain
    by_word, told = _told(log, model, name, min_confidence)
    until = np.where(log.codes[name] >= 0, np.minimum(known, log.until), log.until)
    since = log.known("text")
    rows = np.flatnonzero(told & (since < until) & (since != NEVER))
    said = by_word.code[log.codes["text"][rows]]
    words = tuple(sorted({*log.words[name], *said.tolist()}))
    place = {w: k for k, w in enumerate(words)}
    own = np.array([place[w] for w in log.words[name]], dtype=np.int64)
    row = np.concatenate([rows, coded])
    code = np.concatenate([np.array([place[w] for w in said.tolist()], dtype=np.int64), own[plain.code]])
    start, end = np.concatenate([since[rows], plain.start]), np.concatenate([until[rows], plain.until])
    order = np.argsort(row, kind="stable")
    return Codes(words, row[order], code[order], start[order], end[order])


def reading_of(log: Log, model: TextModel, name: str) -> Reading:
    """What the model says of each distinct text of the log (`log.words["text"]`)."""
    return model.predict(log.words["text"])[name]
