"""The text model: against its scikit-learn pipeline, against itself, and against what nobody said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.text import OTHER, UNKNOWN, TextModel, by_rules, from_json, score
from features.text_fit import fit, pipeline, targets
from features.text_rules import Rule, TextRules, normalised, shipped_rules, text_rules
from plant.errors import SteadylineError

ROOT = Path(__file__).parents[2]
SAID = {
    "leak": ("oil leak at {}", "{} leaking", "{} undicht", "weeping seal on {}"),
    "blockage": ("{} blocked", "{} verstopft", "no flow through {}", "clogged {}"),
    "vibration": ("{} vibrating", "Schwingung an {}", "heavy vibration at {}", "{} shakes"),
}
PARTS = ("pump", "valve 3", "L/H filter", "Düse", "press 2", "coater", "fan", "bearing", "Lager", "hose")
RULES = text_rules(shipped_rules().rules, {"action": "_"})


def examples(seed: int = 1, n: int = 150) -> tuple[list[str], dict[str, list[str | None]]]:
    """Made-up texts; three modes, one rare code with a word of its own, a fifth uncoded; actions may be two."""
    rng = np.random.default_rng(seed)
    texts, modes, actions = [], [], []
    for _ in range(n):
        mode = str(rng.choice(list(SAID)))
        action = str(rng.choice(["replace", "repair", "repair_replace"]))
        said = {"replace": "replaced", "repair": "repair", "repair_replace": "repair or replace"}[action]
        texts.append(f"{str(rng.choice(SAID[mode])).format(str(rng.choice(PARTS)))}, {said}")
        modes.append(mode if rng.random() < 0.8 else None)
        actions.append(action)
    texts += ["shaft seized", "shaft stuck"]
    modes += ["seized", "seized"]
    actions += [None, None]
    return texts, {"failure_mode": modes, "action": actions}


@pytest.fixture(scope="module")
def model() -> TextModel:
    return fit(*examples(), RULES, seed=3)


def equal(a: TextModel, b: TextModel, texts: Sequence[str | None]) -> None:
    one, two = a.predict(texts), b.predict(texts)
    assert list(one) == list(two)
    for name in one:
        assert list(one[name].code) == list(two[name].code)
        for part in ("confidence", "by_rule", "probabilities"):
            np.testing.assert_array_equal(getattr(one[name], part), getattr(two[name], part))


def test_it_reads_texts_it_has_not_seen(model: TextModel) -> None:
    got = model.predict(["small leak at gearbox", "GEARBOX CLOGGED", "Starke Schwingung am Getriebe"])["failure_mode"]
    assert list(got.code) == ["leak", "blockage", "vibration"]
    assert got.confidence.min() > 0.5
    np.testing.assert_allclose(got.probabilities.sum(axis=1), 1)


def test_a_field_of_several_codes_gives_several(model: TextModel) -> None:
    got = model.predict(["pump leaking, repair or replace", "fan blocked, replaced"])["action"]
    assert list(got.code) == ["repair_replace", "replace"]


def test_nothing_is_guessed(model: TextModel) -> None:
    strange: list[str | None] = ["", None, "???", "xqzv wwkpt", "123"]
    for reading in model.predict(strange).values():
        assert list(reading.code) == [UNKNOWN] * len(strange)
        assert not reading.confidence.any()
        assert not reading.probabilities.any()
    for reading in model.predict([]).values():
        assert len(reading.code) == 0


def test_a_rare_code_is_never_learnt_and_only_its_own_words_name_it(model: TextModel) -> None:
    head = model.head("failure_mode")
    assert OTHER in head.classes
    assert "seized" not in head.classes
    assert "seized" in head.note
    got = model.predict(["gearbox seized", "small leak"])["failure_mode"]
    assert list(got.code) == ["seized", "leak"]
    assert list(got.by_rule) == [True, False]
    assert got.confidence[0] == pytest.approx((2 + 1) / (2 + 2))  # both hits were right


def test_numpy_agrees_with_the_scikit_learn_pipeline() -> None:
    """The whole pipeline fitted by scikit-learn on the coded texts, its probabilities against those of our arrays."""
    texts, codes = examples()
    coded = sorted((normalised(t), c) for t, c in zip(texts, codes["action"], strict=True) if c)
    plain, given_codes = [t for t, _ in coded], [c for _, c in coded]
    ours = fit(plain, {"action": given_codes}, RULES, seed=3)
    classes, table, _ = targets(given_codes, "_", 5)
    theirs = pipeline(RULES, 3).fit(plain, table)
    asked = [normalised(t) for t in (*texts, "replace the leaking hose", "Düse gereinigt", "leak leak leak")]
    got = ours.predict(asked)["action"]
    assert got.classes == classes
    known = got.code != UNKNOWN
    assert known.sum() == len(asked) - 2  # "shaft seized" and "shaft stuck", which are no text of this field
    expected = np.where(known[:, None], theirs.predict_proba(asked), 0)
    np.testing.assert_allclose(got.probabilities, expected, rtol=0, atol=1e-6)
    back = from_json(json.loads(json.dumps(ours.to_json()))).predict(asked)["action"]
    np.testing.assert_allclose(back.probabilities, expected, rtol=0, atol=1e-6)


def test_json_gives_the_same_model_back(model: TextModel) -> None:
    written = json.dumps(model.to_json())
    back = from_json(json.loads(written))
    assert json.dumps(back.to_json()) == written
    equal(model, back, [*examples(5)[0], "", "gearbox seized"])


@pytest.mark.parametrize(
    "damage", [{"format": 2}, {"idf": "AAAA"}, {"words": None}, {"heads": {"x": {}}}, {"idf": "no base64 !"}]
)
def test_a_damaged_json_is_refused(model: TextModel, damage: dict[str, Any]) -> None:
    with pytest.raises(SteadylineError) as caught:
        from_json({**model.to_json(), **damage})
    assert caught.value.code == "bad_text_model"


def test_examples_in_any_order_give_the_same_bytes(model: TextModel) -> None:
    texts, codes = examples()
    order = np.random.default_rng(0).permutation(len(texts))
    mixed = fit([texts[i] for i in order], {f: [c[i] for i in order] for f, c in codes.items()}, RULES, seed=3)
    assert json.dumps(mixed.to_json()) == json.dumps(model.to_json())


PROGRAM = """
import hashlib, importlib.util, json, sys
spec = importlib.util.spec_from_file_location("texts", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
model = module.fit(*module.examples(), module.RULES, seed=3)
print(hashlib.sha256(json.dumps(model.to_json()).encode()).hexdigest())
"""


def test_two_processes_with_other_threads_and_hashes_give_the_same_bytes() -> None:
    said = set()
    for threads, seed in (("1", "0"), ("2", "12345")):
        some = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, __file__], cwd=ROOT, env={**os.environ, **some, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        )
        said.add(done.stdout)
    assert len(said) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*examples(7, 40)[0], "", "leak", "???", "Düse Düse leak"]), max_size=12))
def test_a_text_is_read_the_same_alone_and_among_others(model: TextModel, texts: list[str]) -> None:
    together = model.predict(texts)
    for i, text in enumerate(texts):
        for name, alone in model.predict([text]).items():
            assert alone.code[0] == together[name].code[i]
            assert alone.confidence[0] == together[name].confidence[i]
            np.testing.assert_array_equal(alone.probabilities[0], together[name].probabilities[i])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gets_a_probability(model: TextModel, text: str) -> None:
    for reading in model.predict([text]).values():
        assert 0.0 <= reading.confidence[0] <= 1.0
        assert (reading.confidence[0] == 0.0) == (reading.code[0] == UNKNOWN)


def test_too_few_coded_texts_are_read_by_the_rules_alone() -> None:
    few = fit(["oil leak", "pump blocked"], {"failure_mode": ["leak", "blockage"]}, RULES)
    assert "rules alone" in few.note
    assert "2 coded orders" in few.heads["failure_mode"].note
    got = few.predict(["big leak", "hello"])["failure_mode"]
    assert list(got.code) == ["leak", UNKNOWN]
    assert list(got.by_rule) == [True, False]
    assert got.confidence[0] == pytest.approx(2 / 3)
    equal(few, from_json(few.to_json()), ["big leak", "hello", ""])


def test_rules_alone_take_the_heaviest_or_all_where_a_field_takes_several() -> None:
    told = {"b": 2.0, "a": 2.0, "weak": 0.5}
    assert by_rules(told, "") == ("a", 2.0 / 5.5)
    assert by_rules(told, "_") == ("a_b", 4.0 / 5.5)
    assert by_rules({"weak": 0.5}, "_") == ("weak", 0.5 / 1.5)
    assert by_rules({}, "") == (UNKNOWN, 0.0)


def test_one_code_takes_the_largest_curve_and_several_those_above_half() -> None:
    z = np.array([[0.0, 2.0, -1.0], [1.0, 2.0, -3.0], [-1.0, -2.0, -3.0]])
    p, chosen, logit = score(z, "")
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert chosen.tolist() == [[False, True, False], [False, True, False], [True, False, False]]
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), p.max(axis=1))
    p, chosen, logit = score(z, "_")
    assert chosen.tolist() == [[True, True, False], [True, True, False], [True, False, False]]
    curve = 1 / (1 + np.exp(-z[1]))
    assert 1 / (1 + np.exp(-logit[1])) == pytest.approx(curve[0] * curve[1] * (1 - curve[2]))


def test_reasons_name_the_words_and_add_up_to_the_logit(model: TextModel) -> None:
    reasons = model.reasons("gearbox leaking", "failure_mode", "leak", most=1000)
    assert any("leak" in term for term, _ in reasons[:5])
    assert "rule: failure_mode=leak" in dict(reasons)
    head = model.head("failure_mode")
    k = head.classes.index("leak")
    z = sum(added for _, added in reasons) + float(head.intercept[k])
    raw = model.predict(["gearbox leaking"])["failure_mode"].probabilities[0]
    odds = [sum(a for _, a in model.reasons("gearbox leaking", "failure_mode", c, 1000)) for c in head.classes]
    curves = 1 / (1 + np.exp(-(np.array(odds) + head.intercept)))
    assert raw[k] == pytest.approx(1 / (1 + np.exp(-z)) / curves.sum())
    with pytest.raises(SteadylineError, match="leek"):
        model.reasons("x", "failure_mode", "leek")
    with pytest.raises(SteadylineError, match="failure_mode"):
        model.head("failuremode")


def test_codes_and_texts_must_match() -> None:
    with pytest.raises(SteadylineError) as caught:
        fit(["a", "b"], {"failure_mode": ["x"], "action": []})
    assert caught.value.details == ["action: 0 codes for 2 texts", "failure_mode: 1 codes for 2 texts"]


def test_rules_of_a_site_are_part_of_what_is_learnt() -> None:
    """A word that stands in no example: only the site's rule can tell it."""
    texts, codes = examples()
    own = TextRules(text_rules([*RULES.rules, Rule("failure_mode", "leak", "sabbert", 2.0)]).rules, RULES.separator)
    assert fit(texts, codes, own, seed=3).predict(["sabbert"])["failure_mode"].code[0] == "leak"
    assert fit(texts, codes, RULES, seed=3).predict(["sabbert"])["failure_mode"].code[0] == UNKNOWN
