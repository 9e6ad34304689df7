"""Fitting a `TextModel` with scikit-learn.

`pipeline` is the scikit-learn pipeline (words, pieces of words and rule hits into one logistic regression a code);
`fit` takes its numbers over into a `TextModel`, which reads texts with numpy alone and gives the same probabilities.

A text is known when its order was opened, its codes when it was closed: `fit_before` learns from the orders whose code
was visible strictly before the end of the training period.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline

from features.asof import Floats, Log, Snapshot, history, moment
from features.text import OTHER, RULE_SHARE, Head, TextModel, piece_terms, score, word_terms
from features.text_fill import ORDERS
from features.text_rules import TextRules, normalised, shipped_rules
from plant.errors import SteadylineError, did_you_mean, listing

CODE_COLUMNS = ("failure_mode", "mechanism", "cause")
MIN_EXAMPLES, MIN_ORDERS, FOLDS = 5, 60, 5
MOST_WORDS, MOST_PIECES = 2500, 3000
STRENGTH = 30.0  # C of the logistic regressions


class RuleHits(TransformerMixin, BaseEstimator):
    """Normalised texts -> the weight with which each target of the rules is hit (n, targets), sparse."""

    def __init__(self, rules: TextRules) -> None:
        self.rules = rules

    def fit(self, X: Sequence[str], y: Any = None) -> RuleHits:
        return self

    def transform(self, X: Sequence[str]) -> sparse.csr_matrix:
        hits = [self.rules.hits(text.split()) for text in X]
        row = np.repeat(np.arange(len(hits)), [len(h) for h in hits])
        column = np.array([c for h in hits for c in sorted(h)], dtype=np.int64)
        value = np.array([h[c] for h in hits for c in sorted(h)], dtype=np.float64)
        return sparse.csr_matrix((value, (row, column)), shape=(len(hits), len(self.rules.targets)))


def numbers(rules: TextRules) -> FeatureUnion:
    """Normalised texts -> the three blocks of numbers."""
    plain = {"sublinear_tf": True, "lowercase": False, "token_pattern": None}
    return FeatureUnion([
        ("words", TfidfVectorizer(analyzer=word_terms, max_features=MOST_WORDS, **plain)),
        ("pieces", TfidfVectorizer(analyzer=piece_terms, min_df=2, max_features=MOST_PIECES, **plain)),
        ("rules", RuleHits(rules)),
    ], transformer_weights={"rules": RULE_SHARE})


def classifier(seed: int) -> OneVsRestClassifier:
    """One logistic regression a code. liblinear works in one thread and in one order: the same bits everywhere."""
    curve = LogisticRegression(
        C=STRENGTH, solver="liblinear", random_state=seed, max_iter=1000, tol=1e-5
    )
    return OneVsRestClassifier(curve)


def pipeline(rules: TextRules, seed: int) -> Pipeline:
    """The scikit-learn pipeline of one field: fit(normalised texts, (n, codes) of 0 and 1)."""
    return Pipeline([("numbers", numbers(rules)), ("codes", classifier(seed))])


def fit(
    texts: Sequence[str | None], codes: Mapping[str, Sequence[str | None]], rules: TextRules | None = None,
    seed: int = 0, min_examples: int = MIN_EXAMPLES, min_orders: int = MIN_ORDERS,
) -> TextModel:
    """Learn from texts and their codes: for each field one code a text, or None where it has none.

    The same model, byte for byte, for the same pairs in any order. A field that only rules know, or with fewer than
    `min_orders` coded texts or two codes of `min_examples`, is read by the rules alone and says so in its `note`. Codes
    with fewer than `min_examples` are pooled as `other`, which never fills a code. Raises SteadylineError
    (bad_examples) where a field does not have one entry a text.
    """
    rules = shipped_rules() if rules is None else rules
    wrong = [f"{f}: {len(c)} codes for {len(texts)} texts" for f, c in sorted(codes.items()) if len(c) != len(texts)]
    if wrong:
        allowed = "one code (or None) a text"
        raise SteadylineError("bad_examples", "codes and texts do not match", allowed, details=wrong)
    names = sorted({*codes, *(f for f, _ in rules.targets)})
    rows = sorted(
        (short, tuple(codes[f][i] or "" if f in codes else "" for f in names))
        for i, text in enumerate(texts) if (short := normalised(text))
    )
    plain, given = [r[0] for r in rows], {f: [r[1][k] for r in rows] for k, f in enumerate(names)}
    coded = [text for text, some in rows if any(some)]
    made = numbers(rules)
    blocks = made.fit(coded).transform(plain).tocsr() if len(coded) >= min_orders else None
    heads = {f: _head(f, plain, given[f], blocks, rules, seed, min_examples, min_orders) for f in names}
    if blocks is None or not any(h.learnt for h in heads.values()):
        empty = np.zeros(0, dtype=np.float32)
        return TextModel((), (), empty, rules, heads, "read by the rules alone: too few coded orders to learn from")
    words, pieces = (made.named_transformers[n] for n in ("words", "pieces"))
    idf = np.concatenate([words.idf_, pieces.idf_]).astype(np.float32)
    terms = [tuple(str(t) for t in v.get_feature_names_out()) for v in (words, pieces)]
    note = "; ".join(f"{f}: {h.note}" for f, h in sorted(heads.items()) if h.note)
    return TextModel(terms[0], terms[1], idf, rules, heads, note)


def fit_before(
    snapshot: Snapshot, train_end: pd.Timestamp, fields: Sequence[str] = ("failure_mode",),
    rules: TextRules | None = None, seed: int = 0, min_examples: int = MIN_EXAMPLES, min_orders: int = MIN_ORDERS,
) -> TextModel:
    """Learn from the orders whose code was visible strictly before `train_end` (with a time zone, else ValueError).

    fields: code columns of work_orders. Of each order the version visible then counts. Where too few coded orders were
    known, the model reads by the rules alone and its `note` says so. Raises SteadylineError (unknown_field).
    """
    wrong = [f for f in fields if f not in CODE_COLUMNS]
    if wrong:
        raise SteadylineError(
            "unknown_field", f"no code of work orders: {listing(wrong)}",
            listing(CODE_COLUMNS) + did_you_mean(wrong[0], CODE_COLUMNS),
        )
    return fit_known(history(snapshot).log(ORDERS), moment(train_end), fields, rules, seed, min_examples, min_orders)


def fit_known(
    log: Log, t: int, fields: Sequence[str] = ("failure_mode",), rules: TextRules | None = None, seed: int = 0,
    min_examples: int = MIN_EXAMPLES, min_orders: int = MIN_ORDERS,
) -> TextModel:
    """As `fit_before`, from the log of work orders and a time in microseconds; fields as they are."""
    rows = np.flatnonzero(log.visible("text", t) & (log.codes["text"] >= 0))
    texts = [log.words["text"][c] for c in log.codes["text"][rows]]
    codes = {}
    for name in fields:
        shown = log.visible(name, t)[rows]
        codes[name] = [
            log.words[name][c] if c >= 0 and ok else None for c, ok in zip(log.codes[name][rows], shown, strict=True)
        ]
    return fit(texts, codes, rules, seed, min_examples, min_orders)


def targets(codes: Sequence[str], separator: str, min_examples: int) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Learnt codes (`other` last, where there are rare ones), the table of 0 and 1 (n, codes), and the rare codes."""
    parts = [tuple(dict.fromkeys(p for p in c.split(separator) if p)) if separator else (c,) for c in codes]
    count = Counter(p for some in parts for p in some)
    classes = sorted(c for c, n in count.items() if n >= min_examples and c != OTHER)
    rare = sorted(c for c in count if c not in classes)
    place = {c: k for k, c in enumerate(classes)}
    table = np.zeros((len(codes), len(classes) + bool(rare)), dtype=np.int64)
    for i, some in enumerate(parts):
        for p in some:
            table[i, place.get(p, len(classes))] = 1
    return (*classes, *([OTHER] if rare else [])), table, rare


def _head(
    name: str, texts: list[str], codes: list[str], blocks: Any, rules: TextRules, seed: int, min_examples: int,
    min_orders: int,
) -> Head:
    separator = rules.separator.get(name, "")
    coded = np.array([i for i, c in enumerate(codes) if c], dtype=np.int64)
    classes, table, rare = targets([codes[i] for i in coded], separator, min_examples)
    if blocks is None or len(coded) < min_orders or len(classes) - bool(rare) < 2:
        note = "read by the rules alone: no coded order" if not len(coded) else (
            f"read by the rules alone: {len(coded)} coded orders with {len(classes) - bool(rare)} codes of at least "
            f"{min_examples}; learning takes {min_orders} and 2"
        )
        nothing = np.zeros(0, dtype=np.float32)
        return Head(name, (), separator, nothing.reshape(0, 0), nothing, examples=len(coded), note=note)
    X = blocks[coded]
    curves = classifier(seed).fit(X, table)
    coef = np.stack([e.coef_[0] for e in curves.estimators_]).astype(np.float32)
    intercept = np.array([e.intercept_[0] for e in curves.estimators_]).astype(np.float32)
    slope, offset = _calibration(X, table, [texts[i] for i in coded], separator, seed)
    note = f"pooled as other, fewer than {min_examples} orders: {listing(rare)}" if rare else ""
    right = _rule_precision([texts[i] for i in coded], [codes[i] for i in coded], name, rules, separator, classes)
    return Head(name, classes, separator, coef, intercept, slope, offset, right, len(coded), note)


def _calibration(X: Any, table: np.ndarray, texts: list[str], separator: str, seed: int) -> tuple[float, float]:
    """Platt's two numbers from predictions of texts left out.

    Equal texts are left out together, so that a confidence is that of a text not seen before; where a code has only one
    or two distinct texts, leaving them out leaves nothing to learn it from, and confidences are low.
    """
    _, group = np.unique(np.array(texts, dtype=object), return_inverse=True)
    number = np.random.default_rng(seed).permutation(group.max() + 1)
    folds = min(FOLDS, len(number))
    if folds < 2:
        return 1.0, 0.0
    fold = number[group] % folds
    z = np.zeros(table.shape)
    for k in range(folds):
        out = fold == k
        z[out] = _logits(X[~out], table[~out], X[out], seed)
    _, chosen, logit = score(z, separator)
    right = (chosen == (table > 0)).all(axis=1)
    if right.all() or not right.any():
        return 1.0, 0.0
    platt = LogisticRegression(C=10.0, solver="liblinear", intercept_scaling=10.0, random_state=seed)
    platt.fit(logit[:, None], right)
    return float(np.float32(platt.coef_[0, 0])), float(np.float32(platt.intercept_[0]))


def _logits(X: Any, table: np.ndarray, of: Any, seed: int) -> Floats:
    out = np.full((of.shape[0], table.shape[1]), -20.0)  # a code without an example in this part is not expected
    some = np.flatnonzero((table.min(axis=0) == 0) & (table.max(axis=0) == 1))
    for k in some:
        curve = classifier(seed).estimator.fit(X, table[:, k])
        out[:, k] = curve.decision_function(of)
    return out


def _rule_precision(
    texts: list[str], codes: list[str], name: str, rules: TextRules, separator: str, classes: tuple[str, ...]
) -> dict[str, float]:
    """Of each code that rules know and the head has not learnt: (right + 1) / (hit + 2) on the training orders.

    A code that no training order has is none of the site's: its rules name nothing.
    """
    ours = {n: c for n, (f, c) in enumerate(rules.targets) if f == name and c not in classes}
    hit, right = Counter[str](), Counter[str]()
    for text, code in zip(texts, codes, strict=True):
        given = set(code.split(separator)) if separator else {code}
        for n in rules.hits(text.split()):
            if n in ours:
                hit[ours[n]] += 1
                right[ours[n]] += ours[n] in given
    return {c: (right[c] + 1) / (n + 2) for c, n in sorted(hit.items()) if right[c]}
