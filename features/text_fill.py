"""Codes of work orders that nobody entered, filled from their texts; a coded value is never overwritten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.asof import Floats, Log, Words
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
    if not 0.0 < min_confidence <= 1.0:
        raise SteadylineError("bad_confidence", f"a confidence of {min_confidence}", "above 0, at most 1")
    model.head(name)
    code = np.full(log.size, None, dtype=object)
    confidence, source = np.zeros(log.size), np.full(log.size, NOBODY, dtype=object)
    text, by_word = log.codes["text"], reading_of(log, model, name)
    if len(by_word.code):
        usable = (by_word.confidence >= min_confidence) & (by_word.code != OTHER) & (by_word.code != UNKNOWN)
        rows = np.flatnonzero((text >= 0) & usable[text])
        code[rows], confidence[rows] = by_word.code[text[rows]], by_word.confidence[text[rows]]
        source[rows] = np.where(by_word.by_rule[text[rows]], RULE, TEXT)
    if name in log.codes:
        rows = np.flatnonzero(log.codes[name] >= 0)
        words = np.array(log.words[name], dtype=object)
        code[rows], confidence[rows], source[rows] = words[log.codes[name][rows]], 1.0, CODED
    return Filled(code, confidence, source)


def reading_of(log: Log, model: TextModel, name: str) -> Reading:
    """What the model says of each distinct text of the log (`log.words["text"]`)."""
    return model.predict(log.words["text"])[name]
