"""Training a failure model: it learns wear, calls noise undecided, and never sees what came after its origin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.labels import failure_labels
from plant.errors import SteadylineError
from plant.snapshot import Frames
from tests.training.small import DAY, START, failure_spec, fingerprint, machines
from training.failure import FailureTraining, train_failure
from training.failure_evidence import events_within


@pytest.fixture(scope="module")
def trained() -> FailureTraining:
    return train_failure(machines(), failure_spec())


def saved(training: FailureTraining, folder: Path) -> tuple[str, object, object, object]:
    """What of a training goes into the version: model files, calibration, threshold, plan."""
    training.last.model.save(folder)
    last = training.last
    return fingerprint(folder), last.calibration.as_dict(), last.threshold.as_dict(), training.plan.to_json()


def test_wear_is_learnt(trained: FailureTraining) -> None:
    evidence = trained.evidence
    assert evidence["beats_baseline"] is True
    assert evidence["verdict"] == "beats the baselines"
    for horizon in ("24h", "72h"):
        judged = evidence["horizons"][horizon]
        assert judged["auc"] > 0.95
        assert judged["failures"] > 10
        for baseline in judged["baselines"].values():
            assert judged["brier"] < baseline["brier"]
    events = evidence["events"]
    assert 0.7 * events["failures"] < events["caught"] <= events["failures"]
    low, high = evidence["auc_90_interval"]
    assert low <= evidence["horizons"]["72h"]["auc"] <= high


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_noise_is_undecided(seed: int) -> None:
    """The machines fail as before, but no signal tells; what is left to learn is their age, and that a baseline has."""
    evidence = train_failure(machines(wears=False, seed=seed), failure_spec()).evidence
    assert evidence["verdict"] == "undecided"
    assert evidence["beats_baseline"] is False


def test_test_rows_lie_in_their_fold_and_never_before_the_origin(trained: FailureTraining) -> None:
    t = pd.DatetimeIndex(trained.matrix.rows["t"])
    seen = np.concatenate([f.rows for f in trained.fits])
    assert len(set(seen)) == len(seen), "no row is tested twice"
    for fit in trained.fits:
        assert (t[fit.rows] >= fit.fold.origin).all()
        assert (t[fit.rows] < fit.fold.end).all()
    assert set(seen) == set(np.flatnonzero(t >= trained.fits[0].fold.origin))
    assert trained.evidence["train"]["end"] == trained.last.fold.origin.isoformat()


def test_labels_are_censored_at_the_origin(trained: FailureTraining) -> None:
    plant, spec, origin = machines(), failure_spec(), trained.last.fold.origin
    cutoffs = trained.matrix.rows[["equipment_id", "t"]]
    before = cutoffs[cutoffs["t"] < origin]
    known = failure_labels(plant, spec.labels, before, until=origin)
    ends = before["t"] + pd.to_timedelta(known["duration_h"], unit="h")
    assert (ends <= origin).all()
    later = failure_labels(plant, spec.labels, before)
    assert (later["observed"] & ~known["observed"]).sum() > 50, "many of these rows fail, but after the origin"


def other_future(plant: Frames, origin: pd.Timestamp) -> Frames:
    """The same plant up to `origin`; afterwards other failures, of a new mode too, and other readings."""
    tables = {name: plant.table(name) for name in plant.tables}
    orders, readings = tables["work_orders"], tables["readings"]
    late = orders["opened_at"] >= origin
    invented = orders[late].assign(
        opened_at=orders["opened_at"] + pd.Timedelta("5h"), failure_mode="a mode never seen before", kind="corrective"
    )
    dropped = invented.iloc[::2]
    tables["work_orders"] = pd.concat(
        [orders[~late], dropped.assign(closed_at=dropped["opened_at"])], ignore_index=True
    )
    shaken = readings["value"].where(readings["ts"] < origin, readings["value"] * -3 + 7)
    tables["readings"] = readings.assign(value=shaken)
    return Frames(tables)


def test_the_future_never_changes_the_model(trained: FailureTraining, tmp_path: Path) -> None:
    plant, origin = machines(), trained.last.fold.origin
    changed = other_future(plant, origin)
    other = train_failure(changed, failure_spec())
    assert saved(other, tmp_path / "other") == saved(trained, tmp_path / "trained")
    assert other.modes == trained.modes == ("bearing", "leak")
    assert other.evidence["horizons"] != trained.evidence["horizons"], "but it is judged by what then happened"


def test_the_past_does_change_it(trained: FailureTraining, tmp_path: Path) -> None:
    changed = other_future(machines(), trained.last.fold.origin - 30 * DAY)
    other = train_failure(changed, failure_spec())
    assert saved(other, tmp_path / "other")[0] != saved(trained, tmp_path / "trained")[0]


def test_twice_the_same_bytes(trained: FailureTraining, tmp_path: Path) -> None:
    again = train_failure(machines(), failure_spec())
    assert saved(again, tmp_path / "again") == saved(trained, tmp_path / "trained")


def test_events_within_know_what_they_do_not_know() -> None:
    labels = pd.DataFrame(
        {"duration_h": [10.0, 24.0, 10.0, 100.0, 24.0], "observed": [True, True, False, False, False]}
    )
    nan, long = np.nan, np.full(5, 1000.0)
    got, weight = events_within(labels, (24.0, 72.0), long)
    np.testing.assert_array_equal(got, [[1, 1], [0, 1], [nan, nan], [0, 0], [0, nan]])
    # Watched for 30 h only: what happens within 72 h is unknown, also where a failure was seen.
    # One of five is censored at 10 h, after the failure then; one of the two that are left at 24 h.
    np.testing.assert_allclose(weight, [[1, 1], [4 / 3, 4 / 3], [0, 0], [4 / 3, 8 / 3], [4 / 3, 0]])
    got, _ = events_within(labels, (24.0, 72.0), np.full(5, 30.0))
    np.testing.assert_array_equal(got, [[1, nan], [0, nan], [nan, nan], [0, nan], [0, nan]])


def test_labels_to_learn_from_are_those_of_the_day() -> None:
    """An order of before the origin that was entered only after it changes no byte of the model."""
    plain = machines()
    spec = failure_spec()
    trained = train_failure(plain, spec)
    origin = trained.last.fold.origin
    orders = plain.table("work_orders")
    late = orders.iloc[[0]].assign(
        work_order_id="LATE", opened_at=origin - pd.Timedelta(days=3), closed_at=origin - pd.Timedelta(days=2),
        recorded_at=origin + pd.Timedelta(days=1),
    )
    told = Frames({**plain.tables, "work_orders": pd.concat([orders, late], ignore_index=True)})
    again = train_failure(told, spec)
    assert again.last.model.hazard_.pooled.model_to_string() == trained.last.model.hazard_.pooled.model_to_string()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"population": {"equipment_class": ["mixer"]}}, "empty_population"),
        ({"split": {"test_from": "2030-01-01T00:00:00Z"}}, "bad_split"),
        ({"cutoffs": {"every": "1s"}}, "too_many_cutoffs"),
        ({"labels": {"failure": {"modes": ["melting"]}}}, "too_few_failures"),
    ],
)
def test_what_cannot_be_trained_is_said(changes: dict[str, object], code: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        train_failure(machines(), failure_spec(**changes))
    assert refused.value.code == code


def test_equipment_without_any_history() -> None:
    plant = Frames(
        {
            "equipment": machines().table("equipment"),
            "events": pd.DataFrame(
                {"event_id": ["1"], "equipment_id": ["elsewhere"], "ts": [START], "kind": ["error"]}
            ),
        }
    )
    with pytest.raises(SteadylineError) as refused:
        train_failure(plant, failure_spec())
    assert refused.value.code == "no_history"
