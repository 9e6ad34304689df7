"""Records of the virtual plant as people keep them: intermediates, spelling, late, corrected and missing entries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.virtual import History, make_history
from plant.virtual_catalogue import SUSPENSION
from plant.virtual_entries import _swapped
from plant.virtual_texts import SHORT, as_typed


@pytest.fixture(scope="module")
def history() -> History:
    return make_history("virtual_dublin", "demo", 7)


@pytest.fixture(scope="module")
def german() -> History:
    return make_history("virtual_graz", "demo", 7)


def _exceptions(history: History, kind: str, system: str) -> pd.DataFrame:
    found = history.truth["exceptions"]
    return found[(found["kind"] == kind) & (found["system"] == system)]


class TestIntermediates:
    def test_genealogy_leads_through_the_intermediate_to_the_supplier(self, history: History) -> None:
        used, batches = history.tables["genealogy"], history.tables["batches"].set_index("batch_id")
        suspensions = set(batches.index[batches["product"] == SUSPENSION.product])
        through = used[used["material"] == SUSPENSION.name]
        assert set(through["material_lot"]) == suspensions
        assert not set(through["batch_id"]) & suspensions
        own = used[used["batch_id"].isin(suspensions)]
        assert set(own["batch_id"]) == suspensions
        assert set(own["material"]) == {SUSPENSION.material}
        assert set(used.loc[used["material"] == SUSPENSION.material, "batch_id"]) == suspensions
        made = through.assign(ready=batches["ended_at"].reindex(through["material_lot"]).to_numpy())
        assert (made["ready"] < made["used_at"]).all()
        uses = through.groupby("material_lot")["batch_id"].nunique()
        assert uses.max() >= 3
        assert uses.mean() > 1.5

    def test_a_lot_reaches_several_batches_through_several_intermediates(self, history: History) -> None:
        used = history.tables["genealogy"]
        film = used[used["material"] == SUSPENSION.material]
        lot = film["material_lot"].value_counts().index[0]
        through = set(film.loc[film["material_lot"] == lot, "batch_id"])
        assert len(through) >= 2
        reached = used[used["material_lot"].isin(through)]["batch_id"].nunique()
        assert 8 <= reached <= 16  # as many as a lot lasts for

    def test_the_lot_shows_in_the_intermediate_and_in_the_result(self, history: History) -> None:
        used, lab = history.tables["genealogy"], history.tables["lab_results"]
        value = lab.dropna(subset=["material_lot"]).set_index(["attribute", "material_lot"])["value"]
        film = used[used["material"] == SUSPENSION.material]
        both = pd.DataFrame(
            {
                "lot": value["film_viscosity"].reindex(film["material_lot"]).to_numpy(),
                "made": value["suspension_viscosity"].reindex(film["batch_id"]).to_numpy(),
            }
        ).dropna()
        assert len(both) > 0.9 * len(film)
        assert both.corr().iloc[0, 1] > 0.75

    def test_a_tainted_lot_taints_what_is_made_of_it(self, history: History) -> None:
        used, lots = history.tables["genealogy"], history.truth["lots"]
        assert not lots.duplicated(["material_lot", "attribute"]).any()
        booked = used[used["material"] != "coating_suspension"]["material_lot"]
        assert set(booked) <= set(lots["material_lot"])
        tainted = set(lots.loc[lots["tainted"], "material_lot"])
        made = used[used["material"] == SUSPENSION.material]
        assert set(made.loc[made["material_lot"].isin(tainted), "batch_id"]) <= tainted
        assert not set(made.loc[~made["material_lot"].isin(tainted), "batch_id"]) & tainted
        assert lots.loc[lots["tainted"], "z"].abs().mean() > 1.5 > lots.loc[~lots["tainted"], "z"].abs().mean()

    def test_it_is_a_batch_with_a_step_and_results_as_batch_and_as_lot(self, history: History) -> None:
        batches = history.tables["batches"]
        ids = set(batches.loc[batches["product"] == SUSPENSION.product, "batch_id"])
        steps = history.tables["batch_steps"]
        assert set(steps.loc[steps["batch_id"].isin(ids), "step"]) == {"suspension"}
        lab = history.tables["lab_results"]
        own = lab[lab["batch_id"].isin(ids)]
        assert (own["batch_id"] == own["material_lot"]).all()
        assert set(own["attribute"]) == {SUSPENSION.attribute.attribute}
        assert not ids & set(history.truth["quality"]["batch_id"])


class TestSpelling:
    def test_orders_are_typed_as_in_real_life(self, history: History, german: History) -> None:
        for plant, language in ((history, "en"), (german, "de")):
            orders = plant.tables["work_orders"]
            texts = orders.loc[orders["kind"] == "corrective"].drop_duplicates("work_order_id")["text"]
            assert texts.nunique() > 0.7 * len(texts)
            assert 0.02 < texts.map(str.isupper).mean() < 0.2
            assert 0.10 < texts.map(str.islower).mean() < 0.9
            assert texts.map(lambda t: t != t.lower() and t != t.upper()).mean() > 0.1
            short = {f for forms in SHORT[language].values() for f in forms if len(f) > 2}
            assert texts.map(lambda t, short=short: any(f in t for f in short)).mean() > 0.05
        texts = german.tables["work_orders"]["text"]
        assert texts.str.contains("ä|ö|ü").any()
        assert texts.str.contains("verschlissen|laeuft|Ueberlast|Duese|STOER|ungleichmaess", regex=True).any()
        english = {"pls", "again", "blocked", "stopped", "Breakdown", "reports", "batch"}
        foreign = german.tables["work_orders"].query("kind == 'corrective'")["text"]
        assert foreign.map(lambda t: bool(english & set(t.split()))).any()

    @given(st.text("abcdefgh äöüßÄÖÜ", min_size=1, max_size=60), st.sampled_from(["en", "de"]), st.integers(0, 10**6))
    def test_a_typed_text_can_be_written_in_either_dialect(self, text: str, language: str, seed: int) -> None:
        out = as_typed(text, language, np.random.default_rng(seed))
        assert out
        assert out.encode("cp1252")
        assert out == as_typed(text, language, np.random.default_rng(seed))


class TestEntries:
    def test_orders_are_corrected_and_entered_late(self, history: History) -> None:
        orders = history.tables["work_orders"]
        entered = orders[orders["recorded_at"].notna()]
        assert (entered["recorded_at"] > entered["opened_at"]).all()
        versions = orders.groupby("work_order_id").size()
        corrected = orders[orders["work_order_id"].isin(versions.index[versions > 1])]
        assert corrected.groupby("work_order_id")["failure_mode"].nunique().min() == 2
        assert set(orders["kind"]) == {"corrective", "preventive", "inspection", "calibration"}
        known = set(_exceptions(history, "corrected_entry", "CMMS")["record"])
        assert set(corrected["work_order_id"]) <= known
        late = set(_exceptions(history, "late_entry", "CMMS")["record"])
        assert late
        assert not late & known

    def test_results_are_corrected(self, history: History) -> None:
        lab = history.tables["lab_results"]
        versions = lab[lab.duplicated("result_id", keep=False)].sort_values("recorded_at", na_position="first")
        noted = set(_exceptions(history, "corrected_entry", "LIMS")["record"])
        assert len(noted) >= 5
        assert set(versions["result_id"]) <= noted
        for _, pair in versions.groupby("result_id"):
            first, last = pair.iloc[0], pair.iloc[1]
            assert pd.isna(first["recorded_at"])
            assert last["recorded_at"] > last["approved_at"]
            assert first["value"] != last["value"]
            assert first["status"] == last["status"] == "in_spec"

    def test_missing_entries_are_missing(self, history: History) -> None:
        steps = history.tables["batch_steps"].set_index(["batch_id", "step"])
        used, lab = history.tables["genealogy"], history.tables["lab_results"]
        mes, lims = _exceptions(history, "missing_entry", "MES"), _exceptions(history, "missing_entry", "LIMS")
        values = [r.split("/") for r in mes["record"] if r.count("/") == 2]
        lots = [r.split("/") for r in mes["record"] if r.count("/") == 1]
        assert values
        assert lots
        assert len(lims)
        for batch, step, value in values:
            assert np.isnan(steps.loc[(batch, step), value])
        booked = set(zip(used["batch_id"], used["material"], strict=True))
        assert not {(b, m) for b, m in lots} & booked
        there = set(zip(lab["batch_id"], lab["attribute"], strict=True))
        assert not {tuple(r.split("/")) for r in lims["record"]} & there
        # And nothing else is: every recorded value of an ended step that is missing was planted.
        ended = steps[steps["ended_at"].notna()]
        own = {"drying": "end_moisture", "compression": "main_force_mean", "blending": "blend_time"}
        lost = {
            (b, s, v)
            for s, v in own.items()
            for b in ended.xs(s, level="step").index[ended.xs(s, level="step")[v].isna()]
        }
        assert lost == {(b, s, v) for b, s, v in values if own.get(s) == v}

    def test_overdue_work_is_overdue(self, history: History) -> None:
        found = _exceptions(history, "overdue_maintenance", "CMMS")
        orders = history.tables["work_orders"].drop_duplicates("work_order_id").set_index("work_order_id")
        assert {"calibration", "preventive"} <= set(orders.loc[found["record"], "kind"])
        mine = orders.loc[found["record"]]
        assert (mine["equipment_id"].to_numpy() == found["entity"].to_numpy()).all()
        waited = (mine["started_at"] - mine["opened_at"]).dropna()
        assert (waited > pd.Timedelta(days=7)).all()
        steps = history.tables["batch_steps"]
        for e in found[found["batch_id"] != ""].itertuples():
            on = steps[(steps["batch_id"] == e.batch_id) & (steps["equipment_id"] == e.entity)]
            assert (on["started_at"] < e.ended_at).any()

    def test_exceptions_name_what_is_there(self, history: History) -> None:
        found = history.truth["exceptions"]
        kinds = {"environment_excursion", "overdue_maintenance", "missing_entry", "late_entry", "corrected_entry"}
        assert set(found["kind"]) == kinds | {"breakdown", "out_of_spec", "deviation"}
        assert set(found["system"]) == {"CMMS", "historian", "MES", "LIMS", "QMS"}
        assert set(found["severity"]) == {"critical", "major", "minor"}
        batches = set(history.tables["batches"]["batch_id"])
        assert set(found["batch_id"]) - {""} <= batches
        assert found["started_at"].is_monotonic_increasing
        assert (found["started_at"] < history.end).all()
        assert not (found["ended_at"] < found["started_at"]).any()


@given(st.floats(0, 1000).map(lambda v: round(v, 2)))
def test_a_slip_of_two_digits_keeps_the_digits(value: float) -> None:
    digits = sorted(c for c in repr(value) if c.isdigit() and c != "0")
    assert sorted(c for c in repr(_swapped(value)) if c.isdigit() and c != "0") == digits
