"""The text model of a plan, and the modes that texts tell: both from what was known before the end of training.

The model is fitted with the plan and stands in its vocabulary as JSON, so that it travels with a version and is read
back bit for bit. Only fitting takes scikit-learn, and the rules of the site; reading a plan takes neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.asof import History, Mask, Words
from features.spec import FeatureSpec
from features.text import TextModel, from_json
from features.text_features import FIELD
from features.text_fill import ORDERS, codes_in_time, fills, reading_of
from features.text_rules import TextRules


def asks_for_texts(spec: FeatureSpec) -> bool:
    """Whether the features of a spec need a text model."""
    return spec.texts is not None or (spec.maintenance is not None and spec.maintenance.fill_codes is not None)


def text_words(
    history: History, spec: FeatureSpec, t: int, equipment: frozenset[str], rules: TextRules | None
) -> dict[str, Any]:
    """Vocabulary before `t` (microseconds): the model, the modes that texts of the `equipment` tell, and, where codes
    are filled, its modes with the filled ones. Empty where the spec asks for no texts.

    The model learns from all orders of the site. rules: None takes the shipped ones.
    """
    if not asks_for_texts(spec):
        return {}
    from features.text_fit import fit_known  # here: scikit-learn would slow down the start of every service

    out: dict[str, Any] = {"texts": fit_known(history.log(ORDERS), t, (FIELD,), rules).to_json()}
    model = from_json(out["texts"])  # what is read back, here as in every service
    log = history.log(ORDERS)
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
    if spec.texts is not None:
        told = _told(history, model, t, ours, spec.texts.min_confidence)
        out["text_modes"] = _most_frequent(told, spec.texts.most)
    if spec.maintenance is not None and spec.maintenance.fill_codes is not None:
        codes = codes_in_time(log, FIELD, model, spec.maintenance.fill_codes)
        seen = (codes.start < t) & (t <= codes.until) & ours[codes.row]
        out["modes"] = _most_frequent(np.array(codes.words, dtype=object)[codes.code[seen]], spec.maintenance.most)
    return out


def _told(history: History, model: TextModel, t: int, ours: Mask, min_confidence: float) -> Words:
    """The codes that the texts of our orders, visible at `t`, tell."""
    log = history.log(ORDERS)
    reading = reading_of(log, model, FIELD)
    text = log.codes["text"][ours & log.visible("text", t) & (log.codes["text"] >= 0)]
    return reading.code[text[fills(reading, min_confidence)[text]]]


def _most_frequent(words: Words, most: int) -> tuple[str, ...]:
    """The `most` most frequent words, of equal ones the alphabet's first; sorted."""
    found, count = np.unique(words.astype(str), return_counts=True)
    return tuple(sorted(str(w) for w in found[np.argsort(-count, kind="stable")[:most]]))
