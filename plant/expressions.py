"""Arithmetic of a mapping: `{A} * 2 + {B} / 100` read once, worked out over whole columns.

A grammar of its own, so that nothing but the arithmetic that docs/reference/site-yaml.md lists can be written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FUNCTIONS = ("abs", "min", "max", "sqrt", "log", "log10", "exp", "round")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|\{(?P<column>[^{}]+)\}"
    r"|(?P<name>[A-Za-z][A-Za-z0-9]*)|(?P<sign>[-+*/(),]))"
)
_LONGEST, _DEEPEST = 1000, 40
_ALLOWED = f"allowed: numbers, columns in braces, + - * / ( ) and {', '.join(FUNCTIONS)}"
Lost = Callable[[np.ndarray, str], None]


@dataclass(frozen=True)
class _Node:
    """A number, a column, or a function (an operator is one) of other nodes."""

    what: str
    parts: tuple[_Node, ...] = ()
    number: float = 0.0


@dataclass(frozen=True)
class Expression:
    columns: tuple[str, ...]
    root: _Node

    def values(self, column: Callable[[str], np.ndarray], n: int, problem: Lost) -> np.ndarray:
        """float64 of n rows; NaN where a part is missing or the arithmetic fails, the latter told to `problem`.

        column: the numbers of a source column, NaN where missing.
        """
        given = {name: column(name) for name in self.columns}
        with np.errstate(all="ignore"):
            return np.array(np.broadcast_to(_values(self.root, given, n, problem), (n,)), dtype=np.float64)


def parse(text: str) -> Expression:
    """Raises ValueError that says where the expression cannot be read and what is allowed."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str):
        if len(text) > _LONGEST:
            raise ValueError(f"the expression has {len(text)} characters; allowed: {_LONGEST}")
        self.text, self.at, self.depth = text, 0, 0
        self.tokens: list[tuple[str, str, int]] = []
        while text[self.at :].strip():
            found = _TOKEN.match(text, self.at)
            if found is None:
                raise ValueError(f"cannot read '{text[self.at :].strip()[:20]}' in '{text}'; {_ALLOWED}")
            kind = str(found.lastgroup)
            self.tokens.append((kind, found[kind], found.start(kind)))
            self.at = found.end()
        self.next = 0
        self.columns: dict[str, None] = {}

    def whole(self) -> Expression:
        root = self.sum()
        if self.next < len(self.tokens):
            self.fail()
        return Expression(tuple(self.columns), root)

    def fail(self) -> None:
        if self.next < len(self.tokens):
            _, word, at = self.tokens[self.next]
            raise ValueError(f"'{word}' does not fit at character {at + 1} of '{self.text}'; {_ALLOWED}")
        raise ValueError(f"'{self.text}' ends too early; {_ALLOWED}")

    def take(self, *words: str) -> str:
        """The next sign if it is one of `words`, else nothing."""
        if self.next < len(self.tokens) and self.tokens[self.next][0] == "sign":
            word = self.tokens[self.next][1]
            if word in words:
                self.next += 1
                return word
        return ""

    def sum(self) -> _Node:
        node = self.product()
        while sign := self.take("+", "-"):
            node = _Node(sign, (node, self.product()))
        return node

    def product(self) -> _Node:
        node = self.signed()
        while sign := self.take("*", "/"):
            node = _Node(sign, (node, self.signed()))
        return node

    def signed(self) -> _Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError(f"'{self.text[:40]}...' is nested more than {_DEEPEST} deep")
        sign = self.take("+", "-")
        node = self.signed() if sign else self.atom()
        self.depth -= 1
        return _Node("minus", (node,)) if sign == "-" else node

    def atom(self) -> _Node:
        if self.take("("):
            node = self.sum()
            self.close()
            return node
        kind, word, _ = self.tokens[self.next] if self.next < len(self.tokens) else ("", "", 0)
        if kind not in ("number", "column", "name"):
            self.fail()
        if kind == "name" and word not in FUNCTIONS:
            raise ValueError(f"'{word}' is no function; {_ALLOWED}")
        self.next += 1
        if kind == "column":
            self.columns[word] = None
            return _Node("column:" + word)
        if kind == "number":
            if not np.isfinite(float(word)):
                raise ValueError(f"'{word}' is too large")
            return _Node("number", (), float(word))
        return self.call(word)

    def call(self, name: str) -> _Node:
        if not self.take("("):
            self.fail()
        parts = [self.sum()]
        while self.take(","):
            parts.append(self.sum())
        self.close()
        many = len(parts)
        if name in ("min", "max"):
            if many < 2:
                raise ValueError(f"{name} takes two numbers or more")
        elif name == "round" and many == 2:
            digits = parts[1]
            if digits.what != "number" or digits.number not in range(13):
                raise ValueError("the second part of round is the number of decimals, 0 to 12")
        elif many != 1:
            raise ValueError(f"{name} takes one number, found {many}")
        return _Node(name, tuple(parts))

    def close(self) -> None:
        if not self.take(")"):
            self.fail()


def _values(node: _Node, given: dict[str, np.ndarray], n: int, problem: Lost) -> np.ndarray:
    if node.what == "number":
        return np.asarray(node.number)
    if node.what.startswith("column:"):
        return given[node.what.removeprefix("column:")]
    parts = [_values(p, given, n, problem) for p in node.parts]
    first = parts[0]
    told = ~np.isnan(first)
    for part in parts[1:]:
        told = told & ~np.isnan(part)
    why = "the expression is too large to be computed"
    if node.what == "/":
        lost, why = told & (parts[1] == 0), "the expression divides by zero"
        _tell(lost, n, why, problem)
        out = np.where(lost, np.nan, first / parts[1])
        told, why = told & ~lost, "the expression is too large to be computed"
    elif node.what in ("log", "log10", "sqrt"):
        lost = told & ((first < 0) if node.what == "sqrt" else (first <= 0))
        what = "root of a negative number" if node.what == "sqrt" else "logarithm of a number that is not positive"
        _tell(lost, n, f"the expression takes the {what}", problem)
        function = {"log": np.log, "log10": np.log10, "sqrt": np.sqrt}[node.what]
        out, told = np.where(lost, np.nan, function(np.where(lost, 1.0, first))), told & ~lost
    elif node.what == "round":
        out = np.round(first, int(parts[1]) if len(parts) > 1 else 0)
    else:
        out = _plain(node.what, parts)
    too_large = told & ~np.isfinite(out)
    _tell(too_large, n, why, problem)
    return np.where(too_large, np.nan, out)


def _plain(what: str, parts: list[np.ndarray]) -> np.ndarray:
    first = parts[0]
    if what in ("min", "max"):
        pick = np.minimum if what == "min" else np.maximum
        for part in parts[1:]:
            first = pick(first, part)
        return first
    if what in ("minus", "abs", "exp"):
        return {"minus": np.negative, "abs": np.abs, "exp": np.exp}[what](first)
    return {"+": np.add, "-": np.subtract, "*": np.multiply}[what](first, parts[1])


def _tell(mask: np.ndarray, n: int, why: str, problem: Lost) -> None:
    if mask.any():
        problem(np.broadcast_to(mask, (n,)), why)
