"""From a laboratory's export to what a model learns: reporting limits, commas, replicates, retests, invalidations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.asof import as_of
from features.labels import pass_fail_targets, quality_targets
from models.targets import targets_of
from tests.plant.workshop import Workshop, adds_up
from tests.training.small import quality_spec

# One laboratory in two ways of writing: commas and German words, or points and English ones.
COMMAS = """\
Nr;Charge;Prüfung;Ergebnis;Einheit;Min;Max;Probe;Freigabe;Urteil;Geändert
1;B1;Verunreinigung;<0,05;%;;0,5;02.03.2026 08:00;04.03.2026 08:00;bestanden;
2;B2;Verunreinigung;0,05;%;;0,5;03.03.2026 08:00;05.03.2026 08:00;bestanden;
3;B3;Verunreinigung;< 0,05;%;;0,5;04.03.2026 08:00;06.03.2026 08:00;bestanden;
4a;B4;Verunreinigung;0,61;%;;0,5;05.03.2026 08:00;07.03.2026 08:00;ungültig;
4b;B4;Verunreinigung;0,12;%;;0,5;05.03.2026 08:00;09.03.2026 08:00;bestanden;
5a;B5;Verunreinigung;0,55;%;;0,5;06.03.2026 08:00;08.03.2026 08:00;nicht bestanden;
5b;B5;Verunreinigung;0,45;%;;0,5;06.03.2026 08:00;10.03.2026 08:00;bestanden;
6a;B6;Verunreinigung;0,10;%;;0,5;07.03.2026 08:00;09.03.2026 08:00;bestanden;
6b;B6;Verunreinigung;0,14;%;;0,5;07.03.2026 08:00;09.03.2026 09:00;bestanden;
6c;B6;Verunreinigung;<0,05;%;;0,5;07.03.2026 08:00;09.03.2026 10:00;bestanden;
7;B7;Verunreinigung;;%;;0,5;08.03.2026 08:00;;;
8;B8;Verunreinigung;0,9;%;;0,5;09.03.2026 08:00;11.03.2026 08:00;nicht bestanden;
8;B8;Verunreinigung;0,09;%;;0,5;09.03.2026 08:00;11.03.2026 08:00;bestanden;13.03.2026 08:00
9;B9;Verunreinigung;1.234,5;%;;0,5;10.03.2026 08:00;12.03.2026 08:00;nicht bestanden;
10;B10;Verunreinigung;Spuren;%;;0,5;10.03.2026 08:00;12.03.2026 08:00;bestanden;
11a;B11;Verunreinigung;0,21;%;;0,5;11.03.2026 08:00;14.03.2026 08:00;bestanden;
11b;B11;Verunreinigung;0,20;%;;0,5;11.03.2026 09:00;13.03.2026 08:00;bestanden;
12a;B12;Verunreinigung;0,30;%;;0,5;11.03.2026 08:00;13.03.2026 08:00;bestanden;
12b;B12;Verunreinigung;0,90;%;;0,5;11.03.2026 09:00;14.03.2026 08:00;ungültig;
"""
WORDS = {"Verunreinigung": "impurity", "nicht bestanden": "failed", "bestanden": "passed", "ungültig": "void"}
VERDICTS = {"bestanden": "in_spec", "nicht bestanden": "out_of_spec", "ungültig": "invalidated", "passed": "in_spec",
            "failed": "out_of_spec", "void": "invalidated"}
ATTRIBUTES = {"Verunreinigung": "impurity", "impurity": "impurity"}


def points(text: str) -> str:
    """The same export as another laboratory writes it."""
    for theirs, ours in WORDS.items():
        text = text.replace(theirs, ours)
    return text.replace("1.234,5", "1|234.5").replace(",", ".").replace("|", ",")


def documented_pattern() -> str:
    """The one that the reference tells to copy."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "model-yaml.md").read_text(encoding="utf-8")
    return text.partition("pattern: '")[2].partition("'")[0]


@pytest.fixture(params=["commas", "points"])
def laboratory(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    works = Workshop(tmp_path)
    commas = request.param == "commas"
    works.export("log.csv", COMMAS if commas else points(COMMAS))
    time: dict[str, Any] = {"format": "%d.%m.%Y %H:%M"}
    columns = {
        "result_id": "Nr", "batch_id": "Charge", "attribute": {"column": "Prüfung", "crosswalk": "attributes"},
        "value": {"column": "Ergebnis", "pattern": documented_pattern()}, "unit": "Einheit",
        "lower_spec": "Min", "upper_spec": "Max", "sampled_at": {"column": "Probe"} | time,
        "approved_at": {"column": "Freigabe"} | time, "status": {"column": "Urteil", "crosswalk": "verdicts"},
        "recorded_at": {"column": "Geändert"} | time,
    }
    marks = {"decimal": ",", "thousands": "."} if commas else {"thousands": ","}
    works.one(columns, "lab_results", {"verdicts": VERDICTS, "attributes": ATTRIBUTES}, delimiter=";", **marks)
    assert adds_up(works.connect())
    return works


def test_numeric_results_become_the_right_targets(laboratory: Workshop) -> None:
    found = quality_targets(laboratory.store.snapshot(), ["impurity"]).set_index("batch_id")
    assert found["value"].to_dict() == {
        "B1": 0.05, "B2": 0.05, "B3": 0.05,  # below the reporting limit is at it
        "B4": 0.12,  # what was invalidated never was
        "B5": 0.45,  # the retest, approved last
        "B6": 0.05, "B8": 0.09, "B9": 1234.5,
        "B11": 0.21,  # sampled first, approved last
        "B12": 0.3,
    }
    assert set(found["upper_spec"]) == {0.5}
    assert found["lower_spec"].isna().all()
    assert found.loc["B5", "approved_at"] == pd.Timestamp("2026-03-10 08:00", tz="UTC")
    ((line, column, reason),) = laboratory.reasons()  # a word is no number, and is said so
    assert (line, column) == (16, "value")
    assert "Spuren" in reason


@pytest.mark.parametrize(("rule", "five", "six"), [("mean", 0.5, 0.29 / 3), ("min", 0.45, 0.05), ("max", 0.55, 0.14)])
def test_replicates_of_a_batch_by_the_declared_rule(laboratory: Workshop, rule: str, five: float, six: float) -> None:
    spec = quality_spec(attributes=["impurity"], replicates=rule)
    found = targets_of(laboratory.store.snapshot(), ["impurity"], spec).set_index("batch_id")["value"]
    assert found["B5"] == pytest.approx(five)
    assert found["B6"] == pytest.approx(six)
    assert found["B4"] == 0.12


def test_a_batch_fails_by_any_valid_verdict(laboratory: Workshop) -> None:
    found = pass_fail_targets(laboratory.store.snapshot(), ["impurity"]).set_index("batch_id")["value"]
    assert {b for b, failed in found.items() if failed} == {"B5", "B9"}
    assert {b for b, failed in found.items() if not failed} == {"B1", "B2", "B3", "B4", "B6", "B8", "B11", "B12"}


def test_before_a_retest_or_a_correction_the_first_result_counts(laboratory: Workshop) -> None:
    def at(text: str, make: Any) -> dict[str, float]:
        view = as_of(laboratory.store.snapshot(), pd.Timestamp(text, tz="UTC"))
        return dict(make(view, ["impurity"]).set_index("batch_id")["value"])

    early = at("2026-03-09 12:00", quality_targets)
    assert early["B5"] == 0.55
    assert "B8" not in early
    assert at("2026-03-08 08:00", quality_targets).get("B5") is None  # approved at that very time
    assert at("2026-03-12 00:00", quality_targets)["B8"] == 0.9
    assert at("2026-03-12 00:00", pass_fail_targets)["B8"] == 1.0
    assert at("2026-03-13 09:00", quality_targets)["B8"] == 0.09
    assert at("2026-03-13 09:00", pass_fail_targets)["B8"] == 0.0


def test_a_laboratory_that_gives_no_value_still_passes_and_fails(tmp_path: Path) -> None:
    works = Workshop(tmp_path)
    works.export("log.csv", "Nr,Charge,Probe,Freigabe,Urteil\n"
                 "1,B1,2026-03-02,2026-03-04,bestanden\n2,B2,2026-03-03,2026-03-05,nicht bestanden\n"
                 "3,B2,2026-03-03,2026-03-06,bestanden\n4,B3,2026-03-03,2026-03-06,ungültig\n5,B4,2026-03-07,,\n")
    works.one({
        "result_id": "Nr", "batch_id": "Charge", "attribute": {"constant": "identity"}, "sampled_at": "Probe",
        "approved_at": "Freigabe", "status": {"column": "Urteil", "crosswalk": "verdicts"},
    }, "lab_results", {"verdicts": VERDICTS})
    works.connect()
    found = pass_fail_targets(works.store.snapshot(), ["identity"])
    assert found.set_index("batch_id")["value"].to_dict() == {"B1": 0.0, "B2": 1.0}
    assert found["approved_at"].tolist() == [pd.Timestamp(d, tz="UTC") for d in ("2026-03-04", "2026-03-06")]
    assert quality_targets(works.store.snapshot(), ["identity"]).empty
