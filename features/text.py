"""Short work-order texts -> failure mode, component, action: a fitted model as plain arrays, read with numpy alone.

A text is read as three blocks of numbers: words and pairs of words, pieces of words of 3 to 5 letters (both weighted by
1 + log(count) times the inverse document frequency, each block of length 1), and what the rules hit. A *head* for each
field is one logistic curve a code. `features.text_fit` fits it with scikit-learn; this module needs nothing of that.

Nothing is guessed: a text without a known word and without a hit of a rule of the field is `unknown`, confidence 0.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from features.asof import Floats, Ints, Words
from features.text_rules import TextRules, normalised, rules_of
from plant.errors import SteadylineError, did_you_mean, listing

UNKNOWN, OTHER = "unknown", "other"
FORMAT = 1
RULE_PRIOR = 1.0
RULE_SHARE = 0.2  # of a rule's weight in the numbers of a text, beside two blocks of length 1
_PIECES, _CHUNK, _MOST_KEPT = (3, 4, 5), 2000, 200_000
_DAMPED = 1.0 + np.log(np.maximum(np.arange(20_000), 1))  # looked up: the same bits wherever a count stands in an array


def word_terms(text: str) -> list[str]:
    """Words of a normalised text, and pairs that follow each other."""
    words = text.split()
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def piece_terms(text: str) -> list[str]:
    """Pieces of 3 to 5 characters of each word, with a space before and after it."""
    return [p for word in text.split() for p in _pieces(word)]


def _pieces(word: str) -> list[str]:
    padded = f" {word} "
    return [padded[i : i + n] for n in _PIECES for i in range(len(padded) - n + 1)]


@dataclass(frozen=True)
class Reading:
    """What a model says of n texts in one field.

    code (n,): the code, several parted by the field's separator, `other` (a code too rare to be learnt) or `unknown`.
    confidence (n,): calibrated probability that `code` is what a person would write; 0 where unknown, and where the
    head has never seen a coded order only the rules' uncalibrated share. by_rule (n,): the rules alone named it.
    probabilities (n, len(classes)): of each code by itself; one-code fields sum to 1, unknown texts are 0.
    """

    code: Words
    confidence: Floats
    by_rule: np.ndarray[Any, np.dtype[np.bool_]]
    classes: tuple[str, ...]
    probabilities: Floats


@dataclass(frozen=True, eq=False)
class Head:
    """One field. coef (classes, terms) and intercept (classes,) of the logistic curves; empty: rules only.

    slope, offset: confidence = sigmoid(slope * logit(score) + offset), fitted on texts left out of the fit.
    rare: code too rare to be learnt -> how often its rules were right on the training orders, (right + 1) / (hit + 2).
    """

    name: str
    classes: tuple[str, ...]
    separator: str
    coef: np.ndarray[Any, np.dtype[np.float32]]
    intercept: np.ndarray[Any, np.dtype[np.float32]]
    slope: float = 1.0
    offset: float = 0.0
    rare: dict[str, float] = field(default_factory=dict)
    examples: int = 0
    note: str = ""

    @property
    def learnt(self) -> bool:
        return self.coef.size > 0

    @cached_property
    def heard(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(terms,) whether a term stood in a coded text of this field: of others the weight is 0."""
        return (self.coef != 0).any(axis=0)


@dataclass(frozen=True, eq=False, repr=False)
class TextModel:
    """A fitted model. words, pieces: the terms in the order of `idf`; the rules' targets follow them."""

    words: tuple[str, ...]
    pieces: tuple[str, ...]
    idf: np.ndarray[Any, np.dtype[np.float32]]
    rules: TextRules
    heads: dict[str, Head]
    note: str = ""
    _seen: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"TextModel({', '.join(f'{n}: {len(h.classes)} codes' for n, h in self.heads.items())})"

    @cached_property
    def _place(self) -> tuple[dict[str, int], dict[str, int]]:
        start = len(self.words)
        return {w: i for i, w in enumerate(self.words)}, {p: start + i for i, p in enumerate(self.pieces)}

    def _of(self, word: str) -> tuple[int, list[int]]:
        """Column of a word (-1: not known), and of its pieces."""
        found = self._seen.get(word)
        if found is None:
            words, pieces = self._place
            found = words.get(word, -1), [pieces[p] for p in _pieces(word) if p in pieces]
            if len(self._seen) > _MOST_KEPT:  # a hostile sender must not fill the memory
                self._seen.clear()
            self._seen[word] = found
        return found

    def predict(self, texts: Iterable[str | None]) -> dict[str, Reading]:
        """A `Reading` for each field, one entry a text in their order. What one text gets does not depend on others."""
        rows = [normalised(t) for t in texts]
        distinct = sorted(set(rows))
        place = {text: i for i, text in enumerate(distinct)}
        back = np.array([place[text] for text in rows], dtype=np.int64)
        parts = [self._predict(distinct[i : i + _CHUNK]) for i in range(0, max(len(distinct), 1), _CHUNK)]
        out = {}
        for name in self.heads:
            some = [p[name] for p in parts]
            out[name] = Reading(
                np.concatenate([s.code for s in some])[back], np.concatenate([s.confidence for s in some])[back],
                np.concatenate([s.by_rule for s in some])[back], some[0].classes,
                np.concatenate([s.probabilities for s in some])[back],
            )
        return out

    def _predict(self, rows: list[str]) -> dict[str, Reading]:
        hits = [self.rules.hits(r.split()) for r in rows]
        row, column, value = self._numbers(rows, hits)
        # A word that the field's coded texts had; a number alone tells nothing.
        word = (column < len(self.words)) & ~self._numerals[np.minimum(column, max(len(self.words) - 1, 0))]
        out = {}
        for name, head in self.heads.items():
            told = _told(self.rules, name, hits)
            known = np.array([bool(t) for t in told], dtype=bool)
            z = np.tile(head.intercept.astype(np.float64), (len(rows), 1))
            if head.learnt and len(row):
                # reduceat adds up each text by itself, so that its sum never depends on its neighbours.
                starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
                products = head.coef.T[column] * value[:, None]
                z[row[starts]] += np.add.reduceat(products, starts, axis=0)
                known[row[word & head.heard[column]]] = True
            out[name] = _decided(head, z, told, known)
        return out

    @cached_property
    def _numerals(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([not w.strip("0 ") for w in self.words] or [True], dtype=bool)

    def _numbers(self, rows: list[str], hits: list[dict[int, float]]) -> tuple[Ints, Ints, Floats]:
        """Row, column and value of what is not 0, sorted by row and column."""
        place = self._place[0]
        columns: list[int] = []
        lengths = np.zeros(len(rows), dtype=np.int64)
        for n, text in enumerate(rows):
            before, words = len(columns), text.split()
            for w in words:
                at, pieces = self._of(w)
                if at >= 0:
                    columns.append(at)
                columns += pieces
            columns += [place[p] for a, b in pairwise(words) if (p := f"{a} {b}") in place]
            lengths[n] = len(columns) - before
        width = len(self.idf)
        key = np.repeat(np.arange(len(rows)), lengths) * width + np.array(columns, dtype=np.int64)
        key, count = np.unique(key, return_counts=True)
        row, column = key // max(width, 1), key % max(width, 1)
        value = _DAMPED[np.minimum(count, len(_DAMPED) - 1)] * self.idf[column].astype(np.float64)
        block = row * 2 + (column >= len(self.words))
        value /= np.sqrt(np.bincount(block, value * value, minlength=2 * len(rows)))[block]
        told = [(n, width + t, RULE_SHARE * w) for n, hit in enumerate(hits) for t, w in sorted(hit.items())]
        if told:
            extra = np.array(told, dtype=np.float64)
            row = np.concatenate([row, extra[:, 0].astype(np.int64)])
            column = np.concatenate([column, extra[:, 1].astype(np.int64)])
            value = np.concatenate([value, extra[:, 2]])
            order = np.lexsort((column, row))
            row, column, value = row[order], column[order], value[order]
        return row, column, value

    def reasons(self, text: str, name: str, code: str, most: int = 5) -> list[tuple[str, float]]:
        """The terms that spoke most for or against `code`, with what each added to its logit; rules as `rule: code`.

        Raises SteadylineError (unknown_code) where the head has not learnt the code.
        """
        head = self.head(name)
        if code not in head.classes or not head.learnt:
            raise SteadylineError(
                "unknown_code", f"'{code}' is no learnt code of {name}",
                (listing(head.classes) or "none") + did_you_mean(code, head.classes),
            )
        plain = normalised(text)
        _, column, value = self._numbers([plain], [self.rules.hits(plain.split())])
        added = value * head.coef[head.classes.index(code), column]
        names = [*self.words, *self.pieces, *(f"rule: {f}={c}" for f, c in self.rules.targets)]
        order = np.argsort(-np.abs(added), kind="stable")[:most]
        return [(names[column[i]], float(added[i])) for i in order]

    def head(self, name: str) -> Head:
        """Raises SteadylineError (unknown_field)."""
        if name not in self.heads:
            raise SteadylineError(
                "unknown_field", f"the text model has no field '{name}'",
                (listing(self.heads) or "none") + did_you_mean(name, self.heads),
            )
        return self.heads[name]

    def to_json(self) -> dict[str, Any]:
        """JSON values only, the same for the same model; arrays are base64 of little-endian float32."""
        heads = {
            n: {
                "classes": list(h.classes), "separator": h.separator, "coef": _packed(h.coef),
                "intercept": _packed(h.intercept), "slope": h.slope, "offset": h.offset,
                "rare": dict(sorted(h.rare.items())), "examples": h.examples, "note": h.note,
            }
            for n, h in sorted(self.heads.items())
        }
        return {
            "format": FORMAT, "words": list(self.words), "pieces": list(self.pieces), "idf": _packed(self.idf),
            "rules": self.rules.as_dict(), "heads": heads, "note": self.note,
        }


def from_json(given: Mapping[str, Any]) -> TextModel:
    """The inverse of `TextModel.to_json`. Raises SteadylineError (bad_text_model) on what it did not write."""
    try:
        if given["format"] != FORMAT:
            raise ValueError(f"format {given['format']}")
        rules = rules_of(given["rules"])
        words, pieces = tuple(map(str, given["words"])), tuple(map(str, given["pieces"]))
        idf = _unpacked(given["idf"])
        width = len(idf) + len(rules.targets)
        if len(idf) != len(words) + len(pieces):
            raise ValueError(f"{len(idf)} weights for {len(words) + len(pieces)} terms")
        heads = {}
        for name, h in sorted(given["heads"].items()):
            classes, intercept = tuple(map(str, h["classes"])), _unpacked(h["intercept"])
            flat = _unpacked(h["coef"])
            if len(flat) not in (0, len(classes) * width) or len(intercept) != (len(classes) if len(flat) else 0):
                raise ValueError(f"{name}: {len(flat)} weights for {len(classes)} codes and {width} terms")
            coef = flat.reshape((len(classes), width) if len(flat) else (0, width))
            rare = {str(c): float(p) for c, p in h["rare"].items()}
            heads[str(name)] = Head(
                str(name), classes, str(h["separator"]), coef, intercept, float(h["slope"]), float(h["offset"]), rare,
                int(h["examples"]), str(h["note"]),
            )
        return TextModel(words, pieces, idf, rules, heads, str(given["note"]))
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise SteadylineError(
            "bad_text_model", f"this is no text model: {type(e).__name__}: {e}", f"what to_json wrote, format {FORMAT}",
            "fit the text model again",
        ) from e


def _packed(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    out = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)
    if not np.isfinite(out).all():
        raise ValueError("a weight is no number")
    return out


def _told(rules: TextRules, name: str, hits: Sequence[Mapping[int, float]]) -> list[dict[str, float]]:
    """Code -> weight of the rules of one field, for each text."""
    ours = {n: code for n, (f, code) in enumerate(rules.targets) if f == name}
    return [{ours[n]: w for n, w in sorted(hit.items()) if n in ours} for hit in hits]


def by_rules(told: Mapping[str, float], separator: str) -> tuple[str, float]:
    """What rules alone say of a text: (code, share of the weights, with a weight of 1 for none of them).

    The heaviest code, of equal ones the alphabet's first; where a field takes several, all but the weak words' ones
    (weight below 1), which count only where nothing else is said. No hit is ("unknown", 0).
    """
    if not told:
        return UNKNOWN, 0.0
    top = max(told.values())
    codes = sorted(c for c, w in told.items() if w >= (min(1.0, top) if separator else top))
    kept = codes if separator else codes[:1]
    return separator.join(kept), sum(told[c] for c in kept) / (sum(told.values()) + RULE_PRIOR)


def _sigmoid(z: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(z, -500, 500)))


def score(z: Floats, separator: str) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]], Floats]:
    """Probabilities (n, K), which classes are chosen (n, K), and the logit of the choice's raw probability (n,).

    One code: the logistic curves divided by their sum, and the largest. Several: each curve by itself, every code of at
    least 0.5 (or the largest); its raw probability is the product over all codes of being chosen rightly.
    """
    p = _sigmoid(z)
    best = np.zeros(p.shape, dtype=bool)
    best[np.arange(len(p)), np.argmax(p, axis=1)] = True
    if separator:
        chosen = best | (p >= 0.5)
        logs = np.log(np.clip(np.where(chosen, p, 1.0 - p), 1e-12, 1.0)).sum(axis=1)
        sure = np.exp(logs)
    else:
        p, chosen = p / p.sum(axis=1, keepdims=True), best
        sure = p.max(axis=1)
    sure = np.clip(sure, 1e-9, 1 - 1e-9)
    return p, chosen, np.log(sure / (1.0 - sure))


def _decided(head: Head, z: Floats, told: list[dict[str, float]], known: np.ndarray[Any, Any]) -> Reading:
    n = len(told)
    code, confidence = np.full(n, UNKNOWN, dtype=object), np.zeros(n)
    by_rule = np.zeros(n, dtype=bool)
    if not head.learnt:
        for i, words in enumerate(told):
            code[i], confidence[i] = by_rules(words, head.separator)
            by_rule[i] = bool(words)
        return Reading(code, confidence, by_rule, (), np.zeros((n, 0)))
    p, chosen, logit = score(z, head.separator)
    calibrated = _sigmoid(head.slope * logit + head.offset)
    for i in np.flatnonzero(known).tolist():
        named = [head.classes[k] for k in np.flatnonzero(chosen[i])]
        ruled = _rare(head, told[i], OTHER in named, float(calibrated[i]))
        by_rule[i] = bool(ruled)
        if head.separator:
            named = sorted({*ruled, *(c for c in named if not (ruled and c == OTHER))})
        elif ruled:
            named = ruled
        code[i] = OTHER if OTHER in named else head.separator.join(named)
        sure = [head.rare[c] for c in ruled] + [float(calibrated[i])] * (head.separator != "" or not ruled)
        confidence[i] = min(sure)
    return Reading(code, confidence, by_rule, head.classes, np.where(known[:, None], p, 0.0))


def _rare(head: Head, told: Mapping[str, float], other: bool, confidence: float) -> list[str]:
    """Codes too rare to be learnt that rules name: where nothing likelier was found, or beside it where several may be.

    A rule that was right in at least half of its training orders counts beside others; alone it has to be likelier.
    """
    some = sorted((c for c in told if c in head.rare), key=lambda c: (-head.rare[c], c))
    if head.separator:
        return [c for c in some if other or head.rare[c] >= 0.5]
    return some[:1] if some and (other or head.rare[some[0]] > confidence) else []
