"""A model's YAML: what is right is read, what is wrong is told, all of it at once."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from models.decision import Costs
from models.spec import FailureSpec, QualitySpec, load_model_spec, load_models, parse_model_spec
from models.yaml_problems import Duration
from plant.errors import SiteError

FAILURE = """
name: press_failures
task: failure
title: Failure of a tablet press
intended_use: Plans the week's maintenance.
population: {equipment_class: [tablet_press]}
cutoffs: {every: 6h, start: 2024-01-01T00:00:00+01:00}
horizons: [24h, 72h, 7d]
decision_horizon: 72h
split: {test_from: "2024-06-01T00:00:00Z", folds: 2}
lightgbm: {rounds: 200, num_leaves: 15}
costs: {missed_failure: 12000, planned_intervention: 3000, false_alarm: 1000, currency: EUR}
capacity: {orders_per_week: 5}
"""
QUALITY = """
name: tablet_quality
task: quality
title: Quality of tablets
intended_use: Supports the review.
attributes: [dissolution, assay]
gates: [before_start, "after:compression"]
coverage: 0.9
"""


@pytest.fixture
def site(tmp_path: Path):
    (tmp_path / "models").mkdir()

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / "models" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_both_tasks_are_read(site) -> None:
    specs = load_models(site(a=FAILURE, b=QUALITY))
    assert list(specs) == ["press_failures", "tablet_quality"]
    failure, quality = specs.values()
    assert isinstance(failure, FailureSpec)
    assert failure.horizons_h == (24.0, 72.0, 168.0)
    assert [str(h) for h in failure.horizons] == ["24h", "72h", "7d"]  # as written: answers are keyed by it
    assert failure.cutoffs.start == pd.Timestamp("2023-12-31T23:00:00Z")
    assert failure.costs == Costs(12000, 3000, 1000, "EUR")
    assert failure.lightgbm.params() == {"num_leaves": 15}
    assert failure.split.test_from == pd.Timestamp("2024-06-01T00:00:00Z")
    assert failure.risk_class == "non_critical"
    assert failure.population.covers("tablet_press")
    assert not failure.population.covers("coater")
    assert isinstance(quality, QualitySpec)
    assert quality.risk_class == "critical"
    assert quality.split.test_share == 0.25
    assert quality.population.covers("anything")


@pytest.mark.parametrize("text", [FAILURE, QUALITY, FAILURE + "features: {sensors: false, calendar: true}\n"])
def test_the_json_form_reads_back_as_the_same(site, text: str) -> None:
    spec = load_model_spec(site(a=text) / "models" / "a.yaml")
    again, problems = parse_model_spec(json.loads(json.dumps(spec.as_dict())))
    assert problems == []
    assert again == spec
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 (Dask sends specifications to its workers)
    assert copy.deepcopy(spec) == spec


WRONG = """
name: press
task: failure
title: Press
intended_use: plan
horizns: [24h]
horizons: [24h, 3 hh]
cutoffs: {every: 6h, start: 2015-01-01}
risk_class: crtical
split: {test_share: 2, calibration_shar: .2}
lightgbm: {rounds: 0, num_leafs: 3}
features: {sensors: {sgnals: all}, maintenence: true}
labels: {failure: {kinds: [correctve], events: {kind: eror}}, episode_gap: -3h, unobserved_after: 0d, lead: soon,
  exclude_downtime: plan, censor_by: component}
costs: {missed_failure: 10, planned_intervention: -1, flse_alarm: 3}
population: {equipment_class: 3}
"""


def test_every_problem_of_every_file_is_told_at_once(site) -> None:
    folder = site(a=WRONG, b=QUALITY + "name: twice\n", c="name: q\ntask: qualty\n", d="- a list\n", e="a: [1,\n")
    (folder / "models" / "f.yml").write_text("x: 1")
    (folder / "models" / "g.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(SiteError) as refused:
        load_models(folder)
    told = "\n".join(refused.value.details)
    for expected in (
        "a.yaml: horizns: is not a key here, allowed: name, task, title", "did you mean 'horizons'?",
        "a.yaml: horizons[1]: found '3 hh', allowed: a duration",
        "a.yaml: cutoffs.start: found '2015-01-01', allowed: a time with its zone",
        "a.yaml: risk_class: found 'crtical', allowed: critical, non_critical; did you mean 'critical'?",
        "a.yaml: split.test_share: found 2, allowed: less than 1",
        "a.yaml: split.calibration_shar: is not a key here, allowed: test_equipment, test_from, test_share, "
        "calibration_share, folds; did you mean 'calibration_share'?",
        "a.yaml: lightgbm.rounds: found 0, allowed: greater than or equal to 1",
        "did you mean 'num_leaves'?", "a.yaml: features.sensors.sgnals: is not a key here, allowed: windows, signals",
        "did you mean 'maintenance'?", "a.yaml: labels.failure.kinds[0]: found 'correctve'",
        "a.yaml: labels.failure.events.kind: found 'eror', allowed: alarm, error, state; did you mean 'error'?",
        "a.yaml: labels.episode_gap: found '-3h', allowed: a length of time: a whole number and min, h or d",
        "a.yaml: labels.unobserved_after: found '0d', allowed: a length of time longer than nothing",
        "a.yaml: labels.lead: found 'soon', allowed: a length of time",
        "a.yaml: labels.exclude_downtime: found 'plan', allowed: true, false or planned",
        "a.yaml: labels.censor_by: found 'component', allowed: equipment, mode",
        "a.yaml: costs.planned_intervention: found -1, allowed: greater than 0",
        "a.yaml: costs.false_alarm: is missing",
        "a.yaml: costs.flse_alarm: is not a key here", "a.yaml: population.equipment_class: found 3, allowed: all, or",
        "b.yaml in line 9, column 1: the key 'name' stands twice",
        "c.yaml: task: found 'qualty', allowed: failure, quality; did you mean 'quality'?",
        "d.yaml holds list", "e.yaml in line", "f.yml: found a file that is not read",
        "g.yaml is not UTF-8 text",
    ):
        assert expected in told, expected
    assert len(refused.value.details) == len(set(refused.value.details)) >= 21


@pytest.mark.parametrize(("change", "expected"), [
    (("[24h, 72h, 7d]", "[24h, 7d, 72h]"), "horizons: found [24h, 7d, 72h], allowed: strictly increasing"),
    (("decision_horizon: 72h", "decision_horizon: 48h"),
     "decision_horizon: found '48h', allowed: one of the horizons: 24h, 72h, 7d"),
    (("decision_horizon: 72h", "decision_horizon: 72h\nlabels: {lead: 24h}"),
     "labels.lead: found '24h', allowed: shorter than the shortest horizon, 24h"),
    (("decision_horizon: 72h", "decision_horizon: 72h\nlabels: {failure: {kinds: []}}"),
     "labels.failure: found no kinds, no events and no retirement, allowed: at least one of them is a failure"),
    (("folds: 2", "folds: 2, test_share: 0.2"), "split: found {"),
    (("missed_failure: 12000", "missed_failure: 3000"), "missed_failure: found 3000, allowed: more than planned"),
    (("costs: {missed_failure: 12000, planned_intervention: 3000, false_alarm: 1000, currency: EUR}", ""),
     "costs: is missing"),
    (("name: press_failures", "name: Press Failures"), "name: found 'Press Failures'"),
    (("every: 6h", "every: 0h"), "cutoffs.every: found '0h', allowed: a duration longer than nothing"),
    (("start: 2024-01-01T00:00:00+01:00", "start: 2024-01-01T00:00:00Z, end: 2023-01-01T00:00:00Z"),
     "allowed: a start before the end"),
])
def test_what_does_not_fit_together_is_refused(site, change: tuple[str, str], expected: str) -> None:
    assert change[0] in FAILURE
    with pytest.raises(SiteError) as refused:
        load_models(site(a=FAILURE.replace(*change)))
    assert len(refused.value.details) == 1
    assert expected in refused.value.details[0]


def test_gates_and_attributes(site) -> None:
    for change, expected in (
        (
            ('[before_start, "after:compression"]', "[before_start, during]"),
            "gates[1]: found 'during', allowed: before_start",
        ),
        (('[before_start, "after:compression"]', "[before_start, before_start]"), "each gate once"),
        (("[dissolution, assay]", "[]"), "attributes: found [], allowed: all, or a list"),
        (("coverage: 0.9", "coverage: 90"), "coverage: found 90, allowed: less than 1"),
    ):
        with pytest.raises(SiteError) as refused:
            load_models(site(a=QUALITY.replace(*change)))
        assert expected in refused.value.message()


def test_a_name_used_twice_and_a_missing_file(site, tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="name: found 'press_failures', which a.yaml has already"):
        load_models(site(a=FAILURE, b=FAILURE))
    with pytest.raises(SiteError, match="does not exist"):
        load_model_spec(tmp_path / "none.yaml")
    assert load_models(tmp_path / "no_site") == {}


@pytest.mark.parametrize(("text", "hours"), [("24h", 24), ("7d", 168), ("30min", 0.5), ("2w", 336), (" 1.5 h ", 1.5)])
def test_durations(text: str, hours: float) -> None:
    assert Duration(text).hours == hours


@pytest.mark.parametrize("text", ["24", "h", "-1h", "0d", "1e3h", "24hours", None, "", "1.2.3h"])
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="a duration"):
        Duration(text)
