"""Declarations: each feature once, in one place; what is left out, refused, or computed in a wrong shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from features import Ask, FeatureSpec, batch_matrix, equipment_matrix, explain_row, features_of, plan
from features.asof import Floats
from features.catalogue import SETS
from features.own import OWN
from features.spec import Vocabulary
from plant.errors import SteadylineError
from plant.tables import TABLES
from tests.features.conftest import BATCHES, EQUIPMENT, Memory, at, random_plant
from tests.features.test_point_in_time import SPEC

ROWS = pd.DataFrame([(e, at(h)) for e in EQUIPMENT for h in (50, 150)], columns=["equipment_id", "t"])


@pytest.fixture
def own() -> Iterator[Any]:
    """The set of own features, as it was before."""
    before = list(OWN.definitions)
    yield OWN
    OWN.definitions[:] = before


def names(spec: Any, plant: Memory | None = None) -> list[str]:
    read = FeatureSpec.model_validate(spec)
    return [f.name for f in plan(plant or random_plant(1), read, "equipment", at(200)).features]


def test_a_feature_that_is_added_in_one_place_is_in_the_matrix_and_has_source_rows(own: Any) -> None:
    @own.feature("own.orders", "number of orders so far", source="work_orders", group="orders", at="opened_at")
    def _orders(ask: Ask) -> Floats:
        log = ask.history.log("work_orders")
        known = [((log.codes["equipment_id"] == e) & log.visible("opened_at", int(t))).sum()
                 for e, t in zip(ask.base("work_orders"), ask.t, strict=True)]
        return np.array(known, dtype=np.float64)

    plant = random_plant(1)
    made = plan(plant, FeatureSpec.model_validate({"own": True}), "equipment", at(200))
    matrix = equipment_matrix(plant, made, ROWS)
    column = [f.name for f in matrix.features].index("own.orders")
    assert matrix.features[column].meaning == "number of orders so far"
    for i, row in enumerate(ROWS.itertuples()):
        told = explain_row(plant, made, row.equipment_id, row.t, ["own.orders"])
        assert matrix.values[i, column] == (told["table"] == "work_orders").sum() > 0
    assert "own.orders" not in names({})


def test_a_wrong_shape_names_the_definition(own: Any) -> None:
    @own.feature("own.flat", "a number", source="work_orders", group="own")
    def _flat(ask: Ask) -> Floats:
        return np.zeros((len(ask.t), 2))

    plant = random_plant(1)
    made = plan(plant, FeatureSpec.model_validate({"own": True}), "equipment", at(200))
    with pytest.raises(AssertionError, match=r"'own\.flat' was computed in shape \(6, 2\), not \(6,\)"):
        equipment_matrix(plant, made, ROWS)


def test_a_name_that_two_definitions_make_is_refused_naming_both(own: Any) -> None:
    @own.feature("maintenance.since.{kind}", "again", source="work_orders", group="own",
                 over=(lambda spec, words: [{"kind": "corrective"}],))
    def _again(ask: Ask) -> Floats:
        return np.zeros((len(ask.t), 1))

    with pytest.raises(SteadylineError) as refused:
        names({"own": True})
    assert refused.value.code == "duplicate_feature"
    for part in ("'maintenance.since.corrective'", "maintenance: maintenance.since.{kind}", "own: maintenance.since"):
        assert part in refused.value.message()


def test_a_signal_that_is_called_as_a_feature_of_another_set_is_refused(memory: Any) -> None:
    plant = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "press"}],
        readings=[{"equipment_id": "e", "signal": "events.count", "ts": at(1), "value": 1.0}],
        events=[{"event_id": "1", "equipment_id": "e", "ts": at(1), "kind": "alarm", "code": "last"}],
    )
    with pytest.raises(SteadylineError) as refused:
        names({}, plant)
    assert "'events.count.last.24h'" in refused.value.message()
    assert "{signal}.last.{window}" in refused.value.message()


def test_features_can_be_left_out_by_name_and_by_pattern() -> None:
    every = names({})
    left = names({"exclude": ["*.gap.*", "downtime.standing", "maintenance.count.corrective.30d"]})
    gone = [n for n in every if n not in left]
    assert [n for n in every if n in left] == left
    assert {"downtime.standing", "maintenance.count.corrective.30d", "force.gap.24h"} <= set(gone)
    assert all(".gap." in n or n in ("downtime.standing", "maintenance.count.corrective.30d") for n in gone)


def test_what_is_left_out_changes_no_other_value() -> None:
    plant = random_plant(4)
    runs = pd.DataFrame({"batch_id": BATCHES[:6], "gate": "g", "t": [at(230)] * 6})
    for kind, make, rows, excluded in (
        ("equipment", equipment_matrix, ROWS, ("*.mean*", "*.6h", "*.corrective*", "force.*", "*.A1")),
        ("batch", batch_matrix, runs, ("*.mean*", "*.force.*", "*.api.*", "lag.assay.*", "step.mixing.*")),
    ):
        rows = rows[rows.iloc[:, 0].isin([*EQUIPMENT, *plant.table("batches")["batch_id"]])]
        spec = SPEC.model_copy(update={"exclude": excluded})
        whole = make(plant, plan(plant, SPEC, kind, at(200)), rows)
        part = make(plant, plan(plant, spec, kind, at(200)), rows)
        kept = [f.name for f in part.features]
        assert 0 < len(kept) < len(whole.features)
        column = [f.name for f in whole.features]
        np.testing.assert_array_equal(part.values, whole.values[:, [column.index(n) for n in kept]])


@pytest.mark.parametrize(("spec", "hint"), [
    ({"exclude": ["maintenance.sinse.corrective"]}, "did you mean 'maintenance.since.corrective'?"),
    ({"exclude": ["maintenence.*"]}, "did you mean 'maintenance.*'?"),
    ({"own": {"only": ["own.odd_hour.7d"]}}, "did you mean 'own.odd_hours.7d'?"),
])
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest(spec: Any, hint: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        names(spec)
    assert refused.value.code == "unknown_feature"
    assert hint in refused.value.message()


def test_own_features_are_off_until_they_are_asked_for_and_can_be_chosen() -> None:
    assert not [n for n in names({}) if n.startswith("own.")]
    chosen = names({"own": {"windows": ["4d"], "only": ["own.odd_hours.*"]}})
    assert [n for n in chosen if n.startswith("own.")] == ["own.odd_hours.4d"]
    with pytest.raises(ValidationError, match="own.window"):
        FeatureSpec.model_validate({"own": {"window": ["4d"]}})


def test_own_features_by_hand(memory: Any) -> None:
    """1 January 2026 is a Thursday: hour 23 is at night, hour 36 is Friday noon, hour 60 is Saturday noon."""
    plant = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "press"}],
        work_orders=[{"work_order_id": str(h), "equipment_id": "e", "kind": kind, "opened_at": at(h)}
                     for h, kind in ((23, "corrective"), (36, "corrective"), (60, "corrective"), (61, "preventive"))],
        events=[{"event_id": str(i), "equipment_id": "e", "ts": at(h), "kind": "alarm", "code": c}
                for i, (h, c) in enumerate(((10, "A"), (20, "A"), (30, "B"), (31, None), (50, "C")))],
    )
    made = plan(plant, FeatureSpec.model_validate({"own": {"windows": ["24h", "7d"]}}), "equipment", plant.data_end)
    rows = pd.DataFrame({"equipment_id": "e", "t": [at(20), at(40), at(70)]})
    matrix = equipment_matrix(plant, made, rows)
    found = {f.name: matrix.values[:, j].tolist() for j, f in enumerate(matrix.features)}
    assert found["own.odd_hours.24h"] == pytest.approx([np.nan, 0.5, 1.0], nan_ok=True)
    assert found["own.odd_hours.7d"] == pytest.approx([np.nan, 0.5, 2 / 3], nan_ok=True)
    assert found["own.different_codes.24h"] == [1.0, 2.0, 1.0]
    assert found["own.different_codes.7d"] == [1.0, 2.0, 3.0]


def test_every_definition_says_where_its_rows_are() -> None:
    """Lineage is declared with the feature: times and words are columns of the source, and windows have a time."""
    for of in SETS:
        for d in of.definitions:
            assert d.source in TABLES or d.source == "calendar", d.name
            if d.source == "calendar":
                continue
            columns = set(TABLES[d.source].names)
            assert {c for c, _ in d.where} <= columns, d.name
            assert not d.at or d.at in columns, d.name
            assert d.rows is not None or of.kind == "batch" or "equipment_id" in columns, d.name
            if "{window}" in d.look_back:
                assert d.rows is not None or d.at, f"{d.name} reads a window of no time"


def test_without_words_there_are_only_features_that_need_none() -> None:
    found = {f.name for f in features_of("equipment", FeatureSpec(), Vocabulary())}
    assert found == {"equipment.class", "equipment.criticality", "equipment.in_service"}
