"""Texts of work orders in time: what is learnt when, what is filled, and features against a slow obvious oracle."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, equipment_matrix
from features.asof import as_of, history, last_versions
from features.assemble import FeaturePlan
from features.spec import Vocabulary
from features.text import OTHER, UNKNOWN, TextModel
from features.text_fill import CODED, RULE, TEXT, filled_codes
from features.text_fit import fit, fit_before
from features.text_rules import shipped_rules, text_rules
from plant.errors import SteadylineError
from tests.features.conftest import HOUR, Memory, at, memory, random_plant

WORDS = (
    "oil leak at pump", "pump leaking", "seal undicht", "bearing worn", "punch worn out", "Lager verschlissen", "xqzv",
    "seized", None,
)
MODES = ("leak", "wear")


def plant(seed: int, versions: bool = True) -> Memory:
    """A random plant whose orders carry texts."""
    made = random_plant(seed, versions)
    rng = np.random.default_rng(seed)
    orders = made.tables["work_orders"].copy()
    orders["text"] = [WORDS[i] for i in rng.integers(0, len(WORDS), len(orders))]
    return memory(**{**made.tables, "work_orders": orders})


@pytest.fixture(scope="module")
def model() -> TextModel:
    texts = [w for w in WORDS[:6] for _ in range(12)]
    return fit(texts, {"failure_mode": ["leak"] * 36 + ["wear"] * 36})


def orders(n: int, known_from: float) -> list[dict[str, Any]]:
    """n orders an hour apart, alternately leak and wear, each closed `known_from` hours after its opening."""
    return [
        {"work_order_id": f"W{i}", "equipment_id": "press-1", "kind": "corrective", "opened_at": at(i),
         "closed_at": at(i + known_from), "failure_mode": MODES[i % 2], "text": WORDS[(i % 2) * 3 + i % 3]}
        for i in range(n)
    ]


def test_only_codes_visible_strictly_before_are_learnt() -> None:
    snapshot = memory(work_orders=orders(100, known_from=10))
    assert fit_before(snapshot, at(89)).heads["failure_mode"].examples == 79  # closed at 10 .. 88
    exact = fit_before(snapshot, at(89) + pd.Timedelta(1, "us")).heads["failure_mode"]
    assert exact.examples == 80
    assert exact.learnt
    early = fit_before(snapshot, at(40))
    assert not early.heads["failure_mode"].learnt
    assert "rules alone" in early.note
    with pytest.raises(ValueError, match="time zone"):
        fit_before(snapshot, pd.Timestamp("2026-01-02"))
    with pytest.raises(SteadylineError, match="mechanism"):
        fit_before(snapshot, at(89), ["mechanis"])


def test_orders_that_are_never_closed_teach_nothing() -> None:
    rows = [{**o, "closed_at": pd.NaT} for o in orders(100, 1)]
    head = fit_before(memory(work_orders=rows), at(200)).heads["failure_mode"]
    assert (head.examples, head.learnt) == (0, False)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 480))
def test_what_is_learnt_is_what_the_as_of_view_shows(seed: int, half_hours: int) -> None:
    """The model equals one fitted on the as-of view, so nothing known at or after the time can be in it."""
    snapshot, t = plant(seed), at(half_hours / 2)
    seen = as_of(snapshot, t).table("work_orders")
    seen = seen[seen["text"].notna()]
    slow = fit(
        list(seen["text"]), {"failure_mode": [c if isinstance(c, str) else None for c in seen["failure_mode"]]},
        min_orders=10, min_examples=2,
    )
    fast = fit_before(snapshot, t, min_orders=10, min_examples=2)
    assert json.dumps(fast.to_json()) == json.dumps(slow.to_json())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.5, 0.8, 1.0]))
def test_a_coded_value_is_never_overwritten(model: TextModel, seed: int, least: float) -> None:
    snapshot = plant(seed)
    log = history(snapshot).log("work_orders")
    filled = filled_codes(log, model, min_confidence=least)
    coded = log.codes["failure_mode"] >= 0
    words = np.array([*log.words["failure_mode"], None], dtype=object)
    assert list(filled.code[coded]) == list(words[log.codes["failure_mode"][coded]])
    assert set(filled.source[coded]) <= {CODED}
    assert not set(filled.source[~coded]) & {CODED}
    for i in np.flatnonzero(~coded):
        text = log.codes["text"][i]
        said = model.predict([log.words["text"][text] if text >= 0 else None])["failure_mode"]
        if said.confidence[0] >= least and said.code[0] not in (UNKNOWN, OTHER):
            assert (filled.code[i], filled.confidence[i]) == (said.code[0], said.confidence[0])
            assert filled.source[i] == (RULE if said.by_rule[0] else TEXT)
        else:
            assert (filled.code[i], filled.confidence[i], filled.source[i]) == (None, 0.0, "")


def test_filling_wants_a_confidence_and_a_field(model: TextModel) -> None:
    snapshot = plant(1)
    log = history(snapshot).log("work_orders")
    for least in (0.0, 1.1, float("nan")):
        with pytest.raises(SteadylineError, match="at most 1"):
            filled_codes(log, model, min_confidence=least)
    with pytest.raises(SteadylineError, match="failure_mode"):
        filled_codes(log, model, "failure_mod")
    parts = filled_codes(log, model, "component", 0.5)  # a field that the table has no column for
    assert set(parts.source) == {RULE, ""}


def test_pooled_codes_never_fill() -> None:
    texts = [w for w in WORDS[:6] for _ in range(12)] + ["strange grumble", "grumble"]
    rare = fit(texts, {"failure_mode": ["leak"] * 36 + ["wear"] * 36 + ["odd", "queer"]}, text_rules([]))
    assert rare.predict(["strange grumble"])["failure_mode"].code[0] == OTHER
    rows = [{"work_order_id": "W1", "equipment_id": "press-1", "opened_at": at(1), "text": "strange grumble"}]
    snapshot = memory(work_orders=rows)
    assert filled_codes(history(snapshot).log("work_orders"), rare, min_confidence=0.01).code[0] is None


WINDOWS = ("24h", "7d")
SPEC = FeatureSpec.model_validate({
    "sensors": False, "maintenance": False, "events": False, "downtime": False, "static": False,
    "texts": {"windows": list(WINDOWS), "min_confidence": 0.5},
})
TELLS = 0.5


def oracle(snapshot: Memory, model: TextModel, equipment: str, t: pd.Timestamp) -> dict[str, float]:
    """One row of features from the as-of view."""
    seen = as_of(snapshot, t).table("work_orders")
    seen = seen[(seen["equipment_id"] == equipment) & seen["text"].notna()].sort_values(
        ["opened_at", "work_order_id"], kind="stable"
    )
    said = model.predict(list(seen["text"]))["failure_mode"]
    seen = seen.assign(mode=said.code, sure=np.rint(said.confidence * 10_000) / 10_000, told=said.confidence >= TELLS)
    out = {"text.confidence": float(seen["sure"].iloc[-1]) if len(seen) else np.nan}
    for mode in MODES:
        of = seen[(seen["mode"] == mode) & seen["told"]]
        out[f"text.since.{mode}"] = (t - of["opened_at"].max()) / HOUR if len(of) else np.nan
        for w in WINDOWS:
            out[f"text.count.{mode}.{w}"] = float((of["opened_at"] >= t - pd.Timedelta(w)).sum())
            inside, every = (f[f["opened_at"] >= t - pd.Timedelta(w)]["sure"].sum() for f in (of, seen))
            out[f"text.share.{mode}.{w}"] = inside / every if every > 0 else np.nan
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_features_equal_the_oracle_and_see_nothing_of_the_future(model: TextModel, seed: int) -> None:
    snapshot = plant(seed)
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({
        "equipment_id": rng.choice(["mixer-1", "press-1", "press-2"], 12),
        "t": [at(h) for h in np.round(rng.uniform(0, 300, 12) * 2) / 2],
    })
    made = FeaturePlan("equipment", SPEC, Vocabulary(text_modes=MODES, texts=model.to_json()), at(0).isoformat())
    got = equipment_matrix(snapshot, made, rows)
    names = [f.name for f in got.features]
    for i, (equipment, t) in enumerate(zip(rows["equipment_id"], rows["t"], strict=True)):
        expected = oracle(snapshot, model, equipment, t)
        assert set(expected) == set(names)
        for name, value in expected.items():
            np.testing.assert_allclose(got.values[i, names.index(name)], value, rtol=1e-12, err_msg=name)
        alone = equipment_matrix(as_of_memory(snapshot, t), made, rows.iloc[[i]])
        np.testing.assert_array_equal(alone.values[0], got.values[i])


def as_of_memory(snapshot: Memory, t: pd.Timestamp) -> Memory:
    """What a service holds at `t`: versions recorded before it, and first versions of orders opened before it."""
    rows = snapshot.tables["work_orders"]
    rows = rows[rows["recorded_at"].fillna(rows["opened_at"]) < t]
    return Memory({**snapshot.tables, "work_orders": rows.reset_index(drop=True)})


def test_german_orders_are_learnt_from_their_codes(model: TextModel) -> None:
    """Simulated German texts with the site's own codes; the shipped rules are only a hint among the words."""
    said = ("Sprühdüse verstopft", "Wellendichtung undicht, Sperrluft")
    rows = [
        {**o, "failure_mode": f"ZPM-{i % 2}", "text": said[i % 2]}
        for i, o in enumerate(orders(100, 1))
    ]
    learnt = fit_before(memory(work_orders=rows), at(200), rules=shipped_rules())
    got = learnt.predict(["SPRUEHDUESE an Granulierer 2 verst.", "Dichtung undicht!"])["failure_mode"]
    assert list(got.code) == ["ZPM-0", "ZPM-1"]
    assert last_versions(memory(work_orders=rows), "work_orders")["failure_mode"].nunique() == 2
