"""Severity comes from declared rules: shipped ones that are complete, and a site's own, checked like other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from plant.errors import SiteError
from serving.review_kinds import CHECKS, KINDS
from serving.review_rules import REVIEW_FILE, Rules, Steps, load_rules


def own(tmp_path: Path, content: dict[str, Any]) -> Rules:
    (tmp_path / REVIEW_FILE).write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_rules([tmp_path])


def test_every_kind_has_a_shipped_rule_and_a_check() -> None:
    rules = load_rules([])
    assert set(rules.table) == set(KINDS)
    assert {k.check for k in KINDS.values()} == set(CHECKS)
    for name, rule in rules.table.items():
        assert not isinstance(rule, Steps) or KINDS[name].measure, name


@pytest.mark.parametrize(("kind", "measure", "severity"), [
    ("environment_excursion", 0.9, None), ("environment_excursion", 1.0, "minor"),
    ("environment_excursion", 3.0, "major"), ("environment_excursion", 11.9, "major"),
    ("environment_excursion", 12.0, "critical"),
    ("lab_out_of_spec", None, "critical"), ("inspection_overdue", 500.0, "minor"), ("calibration_overdue", 9.9, None),
])
def test_a_measure_holds_from_its_step_on(kind: str, measure: float | None, severity: str | None) -> None:
    assert load_rules([]).severity(kind, measure) == severity


@pytest.mark.parametrize(("recorded", "severity"), [("critical", "critical"), ("minor", "minor"), ("", "major")])
def test_a_deviation_is_as_severe_as_it_was_recorded(recorded: str, severity: str) -> None:
    assert load_rules([]).severity("open_deviation", None, recorded) == severity


def test_a_site_overrides_single_lines(tmp_path: Path) -> None:
    rules = own(tmp_path, {
        "rules": {"downtime": {"critical": 5}, "lab_pending": "minor"}, "settings": {"feeds": {"deviations": "30d"}},
        "not_expected": {"events": "the machines have no alarm system"},
    })
    shipped = load_rules([])
    assert (rules.severity("downtime", 4), rules.severity("downtime", 6)) == (None, "critical")
    assert rules.severity("lab_pending") == "minor"
    assert rules.settings.feeds["deviations"] == "30d"
    assert rules.settings.feeds["readings"] == shipped.settings.feeds["readings"]
    assert {k: v for k, v in rules.table.items() if k not in ("downtime", "lab_pending")} == {
        k: v for k, v in shipped.table.items() if k not in ("downtime", "lab_pending")
    }
    assert rules.not_expected == {"events": "the machines have no alarm system"}


def test_a_site_has_the_rules_of_the_site_it_extends(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    own(tmp_path / "base", {"rules": {"lab_pending": "minor"}})
    assert load_rules([tmp_path / "mine", tmp_path / "base"]).severity("lab_pending") == "minor"


@pytest.mark.parametrize(("content", "told"), [
    ({"rules": {"lab_misssing": "critical"}}, "rules.lab_misssing: is no kind of exception, allowed: lab_out_of_spec"),
    ({"rules": {"lab_misssing": "critical"}}, "did you mean 'lab_missing'?"),
    ({"rules": {"lab_pending": {"minor": 1}}}, "rules.lab_pending: found measures, and this kind has none"),
    ({"rules": {"downtime": "as_recorded"}}, "rules.downtime: found as_recorded, which its records do not carry"),
    ({"rules": {"downtime": {"minor": 3, "major": 1}}}, "one measure or more that rise from minor to critical"),
    ({"rules": {"downtime": "severe"}}, "rules.downtime: found 'severe', allowed: critical, major, minor"),
    ({"settings": {"setup": "half an hour"}}, "settings.setup: found 'half an hour', allowed: a duration"),
    ({"settings": {"feeds": {"lab": "3d"}}}, "settings.feeds.lab: is no table of a review, allowed: batch_steps"),
    ({"settings": {"peer": 3}}, "settings.peer: is not a key here, allowed: setup"),
    ({"not_expected": {"deviations": ""}}, "not_expected.deviations: found '', allowed: a text that is not empty"),
    ({"not_expected": {"alarms": "none"}}, "not_expected.alarms: is no table of a review"),
    ({"rule": {}}, "rule: is not a key here, allowed: rules, settings, not_expected; did you mean 'rules'?"),
])
def test_what_is_wrong_is_told_with_file_and_key(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    with pytest.raises(SiteError) as refusal:
        own(tmp_path, content)
    assert refusal.value.code == "bad_review"
    assert any(str(tmp_path / REVIEW_FILE) in line and told in line for line in refusal.value.details), (
        refusal.value.details
    )


@pytest.mark.parametrize("folder", sorted(p.parent for p in Path(__file__).parents[2].glob("sites/*/review.yaml")))
def test_the_rules_of_our_sites_are_valid(folder: Path) -> None:
    assert load_rules([folder]).table.keys() == KINDS.keys()
