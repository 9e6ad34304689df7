"""Arithmetic of a mapping: what may be written, what comes out, and what is put aside."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.expressions import FUNCTIONS, parse
from tests.plant.stretches import mapped, site_of

COLUMNS = {"A": 2.0, "B c": -0.5, "Zeit (s)": 3.0, "none": float("nan")}


def value(text: str, **columns: float) -> tuple[float, list[str]]:
    said: list[str] = []
    given = COLUMNS | columns
    [out] = parse(text).values(lambda name: np.array([given[name]]), 1, lambda _, why: said.append(why))
    return float(out), said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{A} * 2 + {B c} / 100", 3.995),
        ("{A}", 2),
        ("7", 7),
        (" 1 +2* 3 ", 7),
        ("(1+2)*3", 9),
        ("2-3-4", -5),
        ("16/4/2", 2),
        ("-{A}*-3", 6),
        ("--{A}", 2),
        ("+{A}", 2),
        (".5 + 1. + 1e2 + 1E-1", 101.6),
        ("abs({B c})", 0.5),
        ("min({A}, {B c}, 1)", -0.5),
        ("max({A}, {B c}, 1)", 2),
        ("sqrt(16) + exp(0) + log(1) + log10(1000)", 8),
        ("round(2.5) + round(3.14159, 2)", 5.14),
        ("{Zeit (s)}/60", 0.05),
    ],
)
def test_what_comes_out(text: str, expected: float) -> None:
    assert value(text) == (pytest.approx(expected), [])


@pytest.mark.parametrize("text", ["{none} + 1", "1 / {none}", "min({none}, 1)", "sqrt({none})", "{none} * 0"])
def test_a_missing_part_gives_a_missing_value(text: str) -> None:
    out, said = value(text)
    assert math.isnan(out)
    assert said == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0", "the expression divides by zero"),
        ("0 / 0", "the expression divides by zero"),
        ("1 / (1 / ({A} - 2))", "the expression divides by zero"),
        ("1e308 * {A}", "the expression is too large to be computed"),
        ("1 / (1e308 * 10)", "the expression is too large to be computed"),
        ("exp(1e6)", "the expression is too large to be computed"),
        ("sqrt({B c})", "the expression takes the root of a negative number"),
        ("log(0)", "the expression takes the logarithm of a number that is not positive"),
        ("log10({B c})", "the expression takes the logarithm of a number that is not positive"),
    ],
)
def test_what_cannot_be_computed(text: str, why: str) -> None:
    out, said = value(text)
    assert math.isnan(out)
    assert said == [why]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "ends too early"),
        ("1 +", "ends too early"),
        ("(1", "ends too early"),
        ("1)", "')' does not fit at character 2"),
        ("1 2", "'2' does not fit at character 3"),
        ("2 ** 3", "'*' does not fit at character 4"),
        ("9e999", "'9e999' is too large"),
        ("A + 1", "'A' is no function"),
        ("__import__('os')", "cannot read '__import__"),
        ("{A}.real", "cannot read '.real'"),
        ("abs", "ends too early"),
        ("abs()", "does not fit"),
        ("abs(1, 2)", "abs takes one number, found 2"),
        ("min(1)", "min takes two numbers or more"),
        ("round(1, {A})", "number of decimals, 0 to 12"),
        ("round(1, 99)", "number of decimals, 0 to 12"),
        ("pow(2, 3)", "'pow' is no function"),
        ("1_000", "cannot read '_000'"),
        ("1 if 2 else 3", "does not fit"),
        ("{}", "cannot read '{}'"),
        ("(" * 100 + "1" + ")" * 100, "nested more than 40 deep"),
        ("-" * 200 + "1", "nested more than 40 deep"),
        ("1+" * 600 + "1", "1201 characters"),
    ],
)
def test_what_may_not_be_written(text: str, found: str) -> None:
    with pytest.raises(ValueError, match=re.escape(found)):
        parse(text)


@given(st.text(max_size=60) | st.text("0123456789.+-*/(){}, eabsminlogx", max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        read = parse(text)
    except ValueError:
        return
    read.values(lambda _: np.array([1.0, np.nan]), 2, lambda *_: None)


NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
TEXTS = st.recursive(
    st.one_of(NUMBERS.map(lambda x: f"({x!r})"), st.sampled_from(["{a}", "{b}"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"{p[0]}{p[1]}{p[2]}"),
        st.tuples(st.sampled_from(["abs", "sqrt", "log", "log10", "exp", "round", "-"]), inner).map(
            lambda p: f"{p[0]}({p[1]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=400)
@given(TEXTS, NUMBERS, NUMBERS)
def test_against_python(text: str, a: float, b: float) -> None:
    names: dict[str, Any] = {n: getattr(math, n, None) or __builtins__[n] for n in FUNCTIONS}  # type: ignore[index]
    try:
        expected = float(eval(text.format(a="a", b="b"), names | {"a": a, "b": b}))  # noqa: S307 (its texts are ours)
    except (ZeroDivisionError, ValueError, OverflowError):
        expected = math.nan
    out, said = value(text, a=a, b=b)
    if math.isnan(out):
        assert said, "only what cannot be computed is missing"
        assert not math.isfinite(expected) or "too large" in said[0], "Python may lose an infinity on the way"
    else:
        assert said == []
        assert out == pytest.approx(expected, rel=1e-9, abs=1e-9)


class TestInAMapping:
    ITEM = {  # noqa: RUF012
        "columns": {
            "event_id": "id",
            "equipment_id": {"constant": "press-1"},
            "ts": {"constant": "2025-01-01T00:00:00Z"},
            "kind": {"constant": "error"},
        }
    }

    def values(self, form: dict[str, Any], cells: dict[str, list[Any]], **source: Any) -> tuple[list[Any], list[Any]]:
        n = len(next(iter(cells.values())))
        table = pa.table({"id": pa.array([str(i) for i in range(n)]), **{k: pa.array(v) for k, v in cells.items()}})
        columns = {"columns": self.ITEM["columns"] | {"value": form}}
        out = mapped(columns, table, site=site_of(**source))
        assert out.read == n
        return out.rows["value"].tolist(), [(int(a.line), a.column, a.reason) for a in out.aside.itertuples()]

    def test_rows_that_fail_are_put_aside_with_their_reason(self) -> None:
        cells = {"A": ["1", "2", "x", None, "4"], "B b": ["2", "0", "1", "1", "8"]}
        got, said = self.values({"expression": "{A} / {B b}"}, cells)
        assert got == pytest.approx([0.5, np.nan, 0.5], nan_ok=True)
        assert said == [
            (3, "value", "the expression divides by zero"),
            (4, "value", "'x' is no finite number"),
        ]

    def test_scale_unit_and_round_come_after_it(self) -> None:
        form = {"expression": "{A} * 2", "scale": 10, "add": 2, "unit": {"from": "degF", "to": "degC"}, "round": 1}
        assert self.values(form, {"A": ["10.5"]}) == ([100.0], [])

    def test_in_the_notation_of_the_source(self) -> None:
        assert self.values({"expression": "{A} + 0.25"}, {"A": ["1,5"]}, decimal=",") == ([1.75], [])

    def test_typed_numbers(self) -> None:
        assert self.values({"expression": "{A} + {B}"}, {"A": [1, 2], "B": [0.5, None]}) == (
            pytest.approx([1.5, np.nan], nan_ok=True),
            [],
        )

    def test_as_text_it_is_a_number_without_a_needless_point(self) -> None:
        table = pa.table({"id": ["1", "2"], "A": ["10", "0.5"]})
        columns = {"columns": self.ITEM["columns"] | {"code": {"expression": "{A} * 1000"}}}
        assert list(mapped(columns, table).rows["code"]) == ["10000", "500"]
