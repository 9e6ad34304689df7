"""The truth of the virtual plant holds: hazards are frequencies, lives add up, risks are calibrated gate by gate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from plant.virtual import History, make_history
from plant.virtual_gates import GATES
from plant.virtual_utilities import KINDS


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    rank = pd.Series(score).rank().to_numpy()
    n = positive.sum()
    return float((rank[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum()))


@pytest.fixture(scope="module")
def history() -> History:
    return make_history("virtual_dublin", "demo", 8)


def _results(history: History) -> pd.DataFrame:
    """Valid results of batches, last versions."""
    lab = history.tables["lab_results"].sort_values("recorded_at", na_position="first", kind="stable")
    lab = lab.drop_duplicates("result_id", keep="last")
    of_batches = lab["batch_id"].notna() & lab["material_lot"].isna()
    return lab[of_batches & lab["value"].notna() & (lab["status"] != "invalidated")]


def test_failures_happen_as_often_as_the_hazard_says(history: History) -> None:
    """By bins of the state and by class: observed failures are Poisson around the sum of the hazards."""
    states = history.truth["states"]
    states = states[states["running"]]
    # Oracle: the equation of the documentation, on the recorded states.
    danger = 2e-5 + 0.045 / (1.0 + np.exp(-(states["state"].astype(float) - 1.0) / 0.03))
    assert np.allclose(danger, states["hazard_per_running_hour"], rtol=1e-4)
    expected = 1.0 - np.exp(-danger)
    failures = history.truth["failures"]
    edges = [0.0, 0.9, 0.95, 1.0, 1.05, 1.1, 1.36]
    for one, other in (
        (pd.cut(states["state"], edges, include_lowest=True), pd.cut(failures["state"], edges, include_lowest=True)),
        (states["equipment_class"], failures["equipment_class"]),
        (states["mechanism"], failures["mechanism"]),
    ):
        wanted, seen = expected.groupby(one.astype(str)).sum(), other.astype(str).value_counts()
        assert set(seen.index) <= set(wanted.index)
        for name, mean in wanted.items():
            assert abs(seen.get(name, 0) - mean) < 4.0 * np.sqrt(mean) + 2.0, (name, seen.get(name, 0), mean)
        assert abs(seen.sum() - wanted.sum()) < 4.0 * np.sqrt(wanted.sum())


def test_every_class_has_enough_failures_to_learn_from(history: History) -> None:
    counts = history.truth["failures"]["equipment_class"].value_counts()
    assert set(counts.index) == {c.name for c in KINDS}
    assert counts.min() >= 40
    assert all(len(c.mechanisms) >= 3 for c in KINDS)
    assert history.truth["failures"].groupby("equipment_class")["mechanism"].nunique().min() >= 3


def test_the_true_risk_ranks_the_true_failures(history: History) -> None:
    rows = history.truth["remaining"].sort_values("ts")
    failures = history.truth["failures"][["equipment_id", "failed_at"]]
    rows = pd.merge_asof(rows, failures, left_on="ts", right_on="failed_at", by="equipment_id", direction="forward")
    for hours in (24, 72, 168):
        failed = ((rows["failed_at"] - rows["ts"]) <= pd.Timedelta(hours=hours)).to_numpy()
        risk = rows[f"p_fail_{hours}h"].to_numpy()
        assert _auc(risk, failed) >= 0.85
        assert abs(risk.mean() - failed.mean()) < 0.02, hours
    assert (rows["p_fail_24h"] <= rows["p_fail_72h"]).all()
    assert (rows["p_fail_72h"] <= rows["p_fail_168h"]).all()


def test_risks_of_mechanisms_and_of_machines_agree(history: History) -> None:
    states = history.truth["states"].astype({"equipment_id": str})
    states = states[states["ts"].dt.hour == 0]
    alive = (1.0 - states["p_fail_168h"].astype(float)).groupby([states["equipment_id"], states["ts"]]).prod()
    machine = history.truth["remaining"].set_index(["equipment_id", "ts"])["p_fail_168h"]
    assert np.allclose(1.0 - alive, machine.reindex(alive.index), atol=1e-5)


def test_lives_add_up_with_failures_and_orders(history: History) -> None:
    lives, failures = history.truth["lives"], history.truth["failures"]
    keys = ["equipment_id", "mechanism"]
    failed = lives[lives["how"] == "failure"]
    one = failed.assign(at=failed["ended_at"])[[*keys, "at", "state_at_end"]].sort_values([*keys, "at"])
    other = failures.assign(at=failures["failed_at"], state_at_end=failures["state"])[[*keys, "at", "state_at_end"]]
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.sort_values([*keys, "at"]).reset_index(drop=True))
    orders = history.tables["work_orders"]
    planned = set(orders.loc[orders["kind"] == "preventive", ["equipment_id", "started_at"]].itertuples(index=False))
    renewed = lives[lives["how"] == "preventive"]
    missing = [r for r in renewed[["equipment_id", "ended_at"]].itertuples(index=False) if tuple(r) not in planned]
    assert len(renewed) > 50
    assert len(missing) <= 1  # records are kept out of the hours in which clocks change
    mends = history.tables["spare_parts"].set_index("part_id")["failure_mode"]
    fitted = orders[(orders["kind"] == "preventive") & orders["parts"].fillna("").ne("")]
    ended = set(renewed[["equipment_id", "failure_mode", "ended_at"]].itertuples(index=False, name=None))
    parts = {(o.equipment_id, mends[o.parts], o.started_at) for o in fitted.itertuples()}
    assert len(parts) > 50
    assert len(parts - ended) <= 1
    for _, part in lives.groupby(keys):
        assert (part["installed_at"].iloc[1:].to_numpy() >= part["ended_at"].iloc[:-1].to_numpy()).all()
        assert part["installed_by"].iloc[0] == "before_history"
        assert (part["how"].iloc[:-1] != "end_of_history").all()
        ways = {"failure": {"repair", "imperfect_repair"}, "preventive": {"preventive"}}
        for how, by in zip(part["how"].iloc[:-1], part["installed_by"].iloc[1:], strict=True):
            assert by in ways[how]
    assert (lives["ended_at"] <= history.end).all()
    hours = (lives["ended_at"] - lives["installed_at"]) / pd.Timedelta(hours=1)
    assert ((lives["running_hours"] >= 0) & (lives["running_hours"] <= hours + 0.01)).all()
    imperfect = lives["installed_by"] == "imperfect_repair"
    assert lives.loc[imperfect, "state_at_start"].min() > 0.3 > lives.loc[~imperfect, "state_at_start"].median()
    censored = lives["how"] != "failure"
    assert (lives.loc[censored, "expected_remaining_h"] > 0).all()
    assert (lives.loc[~censored, "expected_remaining_h"] == 0).all()


def test_expected_remaining_life_is_what_is_left_without_maintenance() -> None:
    """Where nothing is renewed before it fails, the mean time to the next failure is the expected one."""
    free = make_history("virtual_graz", "demo", 5, preventive_every_h=400_000)
    rows, failures = free.truth["remaining"], free.truth["failures"][["equipment_id", "failed_at"]]
    orders = free.tables["work_orders"]
    served = set(orders.loc[orders["kind"] == "preventive", "equipment_id"])
    rows = rows[~rows["equipment_id"].isin(served) & (rows["ts"] < free.start + pd.Timedelta(days=240))]
    rows = rows.sort_values("ts")
    rows = pd.merge_asof(rows, failures, left_on="ts", right_on="failed_at", by="equipment_id", direction="forward")
    assert rows["failed_at"].notna().mean() > 0.99
    left = ((rows["failed_at"] - rows["ts"]) / pd.Timedelta(hours=1))[rows["failed_at"].notna()]
    expected = rows["expected_remaining_h"][rows["failed_at"].notna()]
    assert abs(expected.mean() / left.mean() - 1.0) < 0.05
    assert np.corrcoef(expected, left)[0, 1] > 0.6


def test_preventive_work_can_censor_most_lives() -> None:
    lives = make_history("virtual_dublin", "demo", 7, preventive_every_h=620).truth["lives"]
    assert 0.65 <= (lives["how"] != "failure").mean() <= 0.80
    assert (lives["how"] == "failure").sum() > 200
    with pytest.raises(ValueError, match="48 hours"):
        make_history("virtual_dublin", "tiny", 7, preventive_every_h=1)


def test_the_true_quality_risk_ranks_the_results(history: History) -> None:
    both = history.truth["quality"].merge(_results(history), on=["batch_id", "attribute"])
    failed = (both["status"] == "out_of_spec").to_numpy()
    assert _auc(both["p_out_of_spec"].to_numpy(), failed) >= 0.95
    assert abs(both["p_out_of_spec"].mean() - failed.mean()) < 0.01
    assert abs(((both["value"] - both["true_mean"]) / both["noise_sd"]).std() - 1.0) < 0.05
    assert 0.02 <= failed.mean() <= 0.06


def test_each_gate_knows_more_than_the_one_before(history: History) -> None:
    gates, results = history.truth["quality_gates"], _results(history)
    both = gates.merge(results[["batch_id", "attribute", "status"]], on=["batch_id", "attribute"])
    for attribute, rows in both.groupby("attribute"):
        found = []
        for gate in [g for g in GATES if (rows["gate"] == g).any()]:
            here = rows[rows["gate"] == gate]
            failed = (here["status"] == "out_of_spec").to_numpy()
            found.append(_auc(here["p_out_of_spec"].to_numpy(), failed))
            assert abs(here["p_out_of_spec"].mean() - failed.mean()) < 0.025, (attribute, gate)
        assert (np.diff(found) > -0.03).all(), (attribute, found)
        assert found[-1] > found[0] + 0.02, (attribute, found)
        assert found[-1] > 0.9


def test_the_last_gate_is_the_truth_of_the_result(history: History) -> None:
    gates = history.truth["quality_gates"]
    assert not gates.duplicated(["batch_id", "attribute", "gate"]).any()
    last = gates[~gates.duplicated(["batch_id", "attribute"], keep="last")]
    both = history.truth["quality"].merge(last, on=["batch_id", "attribute"], suffixes=("", "_gate"))
    assert len(both) == len(history.truth["quality"])
    assert (both["p_out_of_spec"] == both["p_out_of_spec_gate"]).all()
    assert (both["true_mean"] == both["expected_mean"]).all()
    # The gates before it tell the mean of what is to come.
    first = gates[gates["gate"] == "before_start"].merge(history.truth["quality"], on=["batch_id", "attribute"])
    for _, rows in first.groupby("attribute"):
        assert abs((rows["expected_mean"] - rows["true_mean"]).mean()) < 0.02 * rows["noise_sd"].iloc[0]
