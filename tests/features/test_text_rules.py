"""Rules on texts: how texts are normalised, what patterns may be, and how a site extends and overrides them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.text_rules import (
    LONGEST_WORD,
    Rule,
    normalised,
    pattern_problem,
    rules_of,
    shipped_rules,
    site_rules,
    text_rules,
)
from plant.errors import SiteError

ROOT = Path(__file__).parents[2]


def codes(text: str, name: str = "failure_mode") -> set[str]:
    rules = shipped_rules()
    hits = rules.hits(normalised(text).split())
    return {code for n, (f, code) in enumerate(rules.targets) if n in hits and f == name}


def test_texts_are_normalised_as_documented() -> None:
    assert normalised("L/H  Engine WON'T start, p.t.o. u/s!") == "lh engine wont start pto us"
    assert normalised("Stößel läuft heiß (Nr. 4711)") == "stoessel laeuft heiss nr 0"
    assert normalised("Sto\u0308rung \u00c9lectrique") == "stoerung electrique"
    assert normalised(None) == normalised(" .,- ") == ""


@given(st.text(max_size=60))
def test_a_normalised_text_is_plain_and_stays_so(text: str) -> None:
    once = normalised(text)
    assert re.fullmatch(r"([a-z0]+( [a-z0]+)*)?", once)
    assert normalised(once) == once
    assert all(len(w) <= LONGEST_WORD for w in once.split())


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("Wellendichtung undicht, Sperrluft Alarm", "failure_mode", "leak"),
        ("Sprühdüse verstopft", "failure_mode", "blockage"),
        ("SPRUEHDUESE VERST.", "failure_mode", "blockage"),
        ("Rührer sehr laut, starke Schwingung", "failure_mode", "vibration"),
        ("Getriebe heiß, riecht nach Öl", "failure_mode", "overheating"),
        ("Stempel gebrochen", "failure_mode", "breakage"),
        ("Lager verschlissen", "failure_mode", "wear"),
        ("Bremse hält nicht", "component", "brake"),
        ("Filter wechseln", "action", "replace"),
        ("Füllschuh gereinigt", "action", "clean"),
        ("oil leak at RH engine", "failure_mode", "leak"),
        ("engine running very hot", "failure_mode", "overheating"),
        ("R/H engine low on oil", "failure_mode", "fluid_level"),
        ("pump bearing vibrating", "failure_mode", "vibration"),
        ("level sensor faulty", "failure_mode", "sensor_fault"),
        ("fuse blown, short circuit", "failure_mode", "electrical"),
        ("tighten bolts", "action", "adjust"),
    ],
)
def test_the_shipped_words_read_english_and_german(text: str, name: str, code: str) -> None:
    assert code in codes(text, name)


def test_a_gap_takes_up_to_three_words() -> None:
    rules = text_rules([Rule("failure_mode", "fluid_level", "low ... oil")])
    assert rules.hits("low oil".split()) == {0: 1.0}
    assert rules.hits("it is low on the engine oil".split()) == {0: 1.0}
    assert rules.hits("low on the left engine oil".split()) == {}
    assert rules.hits("oil low".split()) == {}


@given(st.lists(st.sampled_from(["oil", "leak", "leaking", "low", "on", "x"]), max_size=8))
def test_hits_agree_with_a_plain_regular_expression(words: list[str]) -> None:
    rules = text_rules([
        Rule("f", "a", r"leak\w*"), Rule("f", "b", "oil (leak|low)"), Rule("f", "c", "low ... oil", 2.0),
        Rule("f", "c", "x|on", 0.5),
    ])
    text = " ".join(words)
    oracle = {
        0: re.search(r"\bleak\w*\b", text) and 1.0, 1: re.search(r"\boil (leak|low)\b", text) and 1.0,
        2: (re.search(r"\blow (\w+ ){0,3}oil\b", text) and 2.0) or (re.search(r"\b(x|on)\b", text) and 0.5),
    }
    assert rules.hits(words) == {k: w for k, w in oracle.items() if w}


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"(a+)+b", "repeated group"), (r"(a|aa)*b", "repeated group"), (r"(a|b){2,9}", "repeated group"),
        (r"\w*\w*\w*x", "3 repeats"), ("a?a?a?a?a?a?a?aaaaaaa", "7 ?"), (r"(?=a)b", "plain groups"), (r"(a)\1", r"\1"),
        ("(leak", "no regular expression"), ("leak)", ") without ("), (r"\d+", r"\d"), ("pump 4", "found '4'"),
        ("a*", "empty word"), ("", "0 characters"), ("x" * 201, "201 characters"), ("... oil", "..."), ("a[^]b", "[ ]"),
        ("ру", "letters"),
    ],
)
def test_a_bad_or_slow_pattern_is_refused(pattern: str, what: str) -> None:
    assert what in pattern_problem(pattern)
    with pytest.raises(SiteError):
        text_rules([Rule("failure_mode", "leak", pattern)])


@given(st.text(alphabet=r"ab0\w.?*+|()[]{}12, ", max_size=25))
def test_what_is_allowed_compiles_and_takes_one_word_quickly(pattern: str) -> None:
    """At most two repeats, six options and 40 characters: no more than some ten thousand steps a word."""
    if not pattern_problem(pattern):
        rules = text_rules([Rule("f", "a", pattern)])
        rules.hits([("ab" * 20)[:LONGEST_WORD], "a" * LONGEST_WORD])
        quantifiers = re.findall(r"[*+]|\{\d", pattern.split()[0])
        assert len(quantifiers) <= 2
        assert not re.search(r"\)[*+{]", pattern)


def test_the_order_of_rules_does_not_matter_and_json_gives_them_back() -> None:
    rules = shipped_rules()
    assert text_rules(reversed(rules.rules)) == rules
    assert rules_of(rules.as_dict()) == rules


def site(folder: Path, rules: str, extends: str = "") -> Path:
    folder.mkdir()
    (folder / "site.yaml").write_text(f"site: {folder.name}\n" + (f"extends: {extends}\n" if extends else ""))
    if rules:
        (folder / "text_rules.yaml").write_text(rules, encoding="utf-8")
    return folder


def said(folder: Path, text: str, name: str = "failure_mode") -> dict[str, float]:
    rules = site_rules(folder)
    hits = rules.hits(normalised(text).split())
    return {code: hits[n] for n, (f, code) in enumerate(rules.targets) if n in hits and f == name}


def test_a_site_without_a_file_has_the_shipped_rules(tmp_path: Path) -> None:
    assert site_rules(site(tmp_path / "one", "")) == shipped_rules()


def test_a_site_extends_overrides_and_maps_codes(tmp_path: Path) -> None:
    base = site(tmp_path / "base", r"""
codes: {failure_mode: {breakage: F-10, noise: null}}
rules:
  failure_mode:
    F-10: zerbröselt\w*; auseinander
    wear: {words: [runter], weight: 3, replace: true}
""")
    own = site(tmp_path / "own", r"""
separator: {action: +}
rules:
  failure_mode:
    F-10: {words: im eimer}
    leak: null
""", "../base")
    assert said(base, "Stempel ZERBROESELT") == {"F-10": 2.0}
    assert said(own, "Stempel zerbröselt") == said(own, "im Eimer") == {"F-10": 2.0}
    assert said(base, "broken") == {"F-10": 2.0}  # the shipped word, under the site's own code
    assert said(base, "worn") == {}
    assert said(base, "Reifen runter") == {"wear": 3.0}
    assert said(base, "laut") == {}
    assert said(base, "oil leak") == {"leak": 2.0}
    assert said(own, "oil leak") == {}
    assert site_rules(own).separator == {"action": "+"}
    alone = site(tmp_path / "alone", "shipped: false\nrules: {failure_mode: {leak: nass}}")
    assert site_rules(alone).targets == (("failure_mode", "leak"),)


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    site(tmp_path / "base", "rulez: {}\n")
    own = site(tmp_path / "own", r"""
shipped: maybe
separator: {action: ""}
codes: {failure_mode: {leek: L1}}
rules:
  failure_mode:
    leak: (a+)+
    wear: {words: [], wait: 2}
    seized: {words: fest, weight: -1}
    brakage: null
  action: replace
""", "../base")
    with pytest.raises(SiteError) as caught:
        site_rules(own)
    assert caught.value.code == "bad_text_rules"
    told = "\n".join(caught.value.details)
    for line in (
        "base/text_rules.yaml: rulez: unknown key; allowed: shipped, separator, codes, rules; did you mean 'rules'?",
        "text_rules.yaml: shipped: found 'maybe'; allowed: true, false",
        "text_rules.yaml: separator.action: found ''; allowed: one to three characters",
        "text_rules.yaml: codes.failure_mode.leek: no such code",
        "did you mean 'leak'?",
        "text_rules.yaml: rules.failure_mode.leak: '(a+)+': found a repeated group",
        "text_rules.yaml: rules.failure_mode.wear.wait: unknown key",
        "text_rules.yaml: rules.failure_mode.wear: found []; allowed: patterns",
        "text_rules.yaml: rules.failure_mode.seized.weight: found -1; allowed: a number above 0",
        "text_rules.yaml: rules.failure_mode.brakage: null removes nothing",
        "did you mean 'breakage'?",
        "text_rules.yaml: rules.action: found 'replace'; allowed: code: patterns",
    ):
        assert line in told


@pytest.mark.parametrize("folder", sorted((ROOT / "sites").glob("*/site.yaml")), ids=lambda p: p.parent.name)
def test_the_rules_of_our_sites_are_right(folder: Path) -> None:
    assert site_rules(folder.parent).rules
