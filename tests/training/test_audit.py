"""The leakage audit of failure models: leaks in the data are named, honest features are left in peace."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from plant.errors import SteadylineError
from plant.snapshot import Frames
from tests.training.leaks import (
    HOUR,
    PLANT,
    Signal,
    audited,
    countdown,
    hours_since,
    hours_until,
    label,
    named,
    spec_of,
    with_events,
    with_preventive,
    with_signal,
)
from tests.training.small import failure_spec, machines
from training.failure import train_failure

COUNTDOWN = "days_until_next_preventive_order"
RNG = np.random.default_rng(0)


def odd(machine: str) -> bool:
    return int(machine[-2:]) % 2 == 1


@pytest.mark.parametrize("every", ["6h", "24h"])
@pytest.mark.parametrize("read", ["1h", "24h"])
def test_a_countdown_makes_training_fail_by_name(every: str, read: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        train_failure(with_signal(COUNTDOWN, read, countdown), spec_of(every))
    assert refused.value.code == "leakage"
    assert [d.split(" (")[0] for d in refused.value.details] == [f"{COUNTDOWN}.mean.24h"]
    assert "counts down to the next preventive order" in refused.value.details[0]
    assert "audit-features" in refused.value.hint


@pytest.mark.parametrize(("every", "horizons"), [
    ("6h", ("24h", "72h")), ("12h", ("12h", "48h")), ("24h", ("24h", "72h")), ("24h", ("7d",)),
])
@pytest.mark.parametrize("which", [0, -1])
def test_a_copy_of_the_label_an_hour_before_the_cut_off(every: str, horizons: tuple[str, ...], which: int) -> None:
    horizon = pd.Timedelta(horizons[which]) / HOUR
    plant = with_signal("label_copy", every, label(horizon), early=HOUR)
    with pytest.raises(SteadylineError, match=r"label_copy\.mean\.24h \(label echo\): repeats the label") as refused:
        train_failure(plant, spec_of(every, horizons))
    assert refused.value.code == "leakage"
    assert len(refused.value.details) == 1


LEAKS: dict[str, Signal] = {
    "noise of 2 % of the range": lambda m, ts: countdown(m, ts) + RNG.normal(0, 0.02 * 40, len(ts)),
    "2 % of the readings are junk":
        lambda m, ts: np.where(RNG.random(len(ts)) < 0.02, RNG.uniform(0, 40, len(ts)), countdown(m, ts)),
    "on half of the machines": lambda m, ts: countdown(m, ts) if odd(m) else np.full(len(ts), np.nan),
    "constant on the other half": lambda m, ts: countdown(m, ts) if odd(m) else np.zeros(len(ts)),
    "noise on the other half": lambda m, ts: countdown(m, ts) if odd(m) else RNG.uniform(0, 40, len(ts)),
    "upside down on another scale": lambda m, ts: -np.log1p(countdown(m, ts)),
    "to the next failure": lambda m, ts: hours_until("corrective", m, ts),
    "label, other unit, with noise": lambda m, ts: 20 + 5 * label(72, 1)(m, ts) + RNG.normal(0, 0.1, len(ts)),
    "label, an hour late": label(72, -1),
    "label, 2 % wrong": lambda m, ts: np.where(RNG.random(len(ts)) < 0.02, 1 - label(72)(m, ts), label(72)(m, ts)),
    "label, on half of the machines": lambda m, ts: label(24, 1)(m, ts) if odd(m) else np.full(len(ts), np.nan),
    "label, only where it is 1": lambda m, ts: np.where(label(72, 1)(m, ts) == 1, 1.0, np.nan),
}


@pytest.mark.parametrize("statistics", [("mean",), ("last", "max")])
@pytest.mark.parametrize("leak", list(LEAKS))
def test_leaks_in_other_clothes(leak: str, statistics: tuple[str, ...]) -> None:
    found = named(audited(with_signal("leak", "1h", LEAKS[leak]), spec_of("12h", statistics=statistics)))
    if leak == "label, 2 % wrong" and statistics != ("mean",):
        assert found <= {"leak.last.24h"}, "the highest of 24 readings is mostly a wrong one"
        return
    assert found, leak
    assert {f.split(".")[0] for f in found} == {"leak"}


@pytest.mark.parametrize("horizon", [24, 72])
def test_a_copy_of_the_label_as_an_event(horizon: int) -> None:
    plant = with_events("label_copy", lambda m, failed: failed - pd.Timedelta(hours=horizon))
    found = named(audited(plant, spec_of("6h")))
    assert "events.count.label_copy.24h" in found
    assert all("label_copy" in f or f.startswith("events.all") for f in found)


def wear(shape: float, noise: float) -> Signal:
    """Wear from 0 after a repair to 1 at the failure, faster in shorter lives."""

    def value(machine: str, ts: pd.Series) -> np.ndarray:
        left, age = hours_until("corrective", machine, ts), hours_since("corrective", machine, ts)
        return np.nan_to_num(age / np.maximum(age + left, 1), nan=0.1) ** shape + RNG.normal(0, noise, len(ts))

    return value


def left(machine: str, ts: pd.Series) -> np.ndarray:
    return np.nan_to_num(hours_until("corrective", machine, ts), nan=999.0)


HONEST: dict[str, Signal] = {
    "linear wear": wear(1, 0.05),
    "linear wear without noise": wear(1, 0),
    "late wear": wear(4, 0.01),
    "early wear": wear(0.5, 0.01),
    "a trend from three days on": lambda m, ts: np.maximum(0, 72 - left(m, ts)) / 24 + RNG.normal(0, 0.1, len(ts)),
    "a trend from six days on": lambda m, ts: np.maximum(0, 144 - left(m, ts)) / 24 + RNG.normal(0, 0.1, len(ts)),
    "exponential wear": lambda m, ts: np.exp(-left(m, ts) / 100) + RNG.normal(0, 0.02, len(ts)),
    "a clock of its own": lambda m, ts: hours_since("preventive", m, ts),
    "constant": lambda m, ts: np.ones(len(ts)),
    "few values": lambda m, ts: np.round(RNG.normal(0, 0.6, len(ts))),
}


@pytest.mark.parametrize("every", ["6h", "24h"])
@pytest.mark.parametrize("signal", list(HONEST))
def test_honest_signals_pass(signal: str, every: str) -> None:
    audit = audited(with_signal("honest", "1h", HONEST[signal]), spec_of(every, statistics=("mean", "last", "slope")))
    assert audit.passed, audit.findings


@pytest.mark.parametrize("every", ["6h", "24h"])
@pytest.mark.parametrize("lead", [(0.5, 23.5), (12, 12), (2, 60)])
def test_an_error_before_each_failure_is_honest(lead: tuple[float, float], every: str) -> None:
    rng = np.random.default_rng(2)
    plant = with_events("err", lambda m, failed: failed - pd.to_timedelta(rng.uniform(*lead, len(failed)), unit="h"))
    assert audited(plant, spec_of(every)).passed


@pytest.mark.parametrize(("low", "high"), [(30, 30), (29.5, 30.5), (28, 32), (5, 60)])
def test_fixed_intervals_make_an_honest_clock(low: float, high: float) -> None:
    audit = audited(with_preventive(machines(), low, high), spec_of("12h"))
    assert audit.passed, audit.findings


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("wears", [True, False])
def test_the_usual_plant_passes(wears: bool, seed: int) -> None:
    assert audited(machines(wears=wears, seed=seed), failure_spec()).passed


def test_an_inspection_so_many_days_before_each_order_is_no_countdown() -> None:
    """Hours since the inspection tell when the order comes, early in its interval too; but that is the past."""
    orders = PLANT.table("work_orders")
    planned = orders[orders["kind"] == "preventive"]
    ahead = planned.assign(
        work_order_id="IN " + planned["work_order_id"], kind="inspection",
        **{c: planned[c] - pd.Timedelta(days=18) for c in ("opened_at", "started_at", "closed_at")},
    )
    plant = Frames({**PLANT.tables, "work_orders": pd.concat([orders, ahead], ignore_index=True)})
    audit = audited(plant, spec_of("12h"))
    assert audit.passed, audit.findings


def test_a_finding_is_accepted_with_a_reason() -> None:
    plant = with_signal(COUNTDOWN, "24h", countdown)
    reason = "the schedule is fixed a year ahead"
    spec = spec_of(audit={"accept": {f"{COUNTDOWN}.*": reason, "no_such_feature": "nobody will ever see this"}})
    evidence = train_failure(plant, spec).evidence["audit"]
    accepted = [f for f in evidence["findings"] if f["verdict"] == "accepted"]
    assert [(f["feature"], f["accepted"]) for f in accepted] == [(f"{COUNTDOWN}.mean.24h", reason)]
    assert evidence["passed"] is True
    assert evidence["unused_accepts"] == ["no_such_feature"]


def test_what_passed_is_evidence() -> None:
    trained = train_failure(machines(), failure_spec())
    evidence = trained.evidence["audit"]
    checks = {c["check"]: c for c in evidence["checks"]}
    assert set(checks) == {"future", "rows", "countdown", "label echo", "embargo", "serving", "power"}
    assert {"failure", "failure by bearing", "corrective order"} <= set(checks["countdown"]["events"])
    assert len(checks["future"]["rows"]) >= 3
    assert evidence["features"] == len(trained.plan.features)
    assert evidence["strongest"][0]["feature"] == "vibration.mean.24h"
    assert evidence["rows"] > 1000


def test_a_signal_that_stopped_blocks_and_a_source_that_ended_warns() -> None:
    last = PLANT.table("readings")["ts"].max() - pd.Timedelta(days=30)
    both = with_signal("other", "24h", lambda m, ts: RNG.normal(0, 1, len(ts))).table("readings")
    gone = both[(both["signal"] != "other") | (both["ts"] < last)]
    audit = audited(Frames({**PLANT.tables, "readings": gone}))
    assert named(audit) == {"other.mean.24h"}
    assert audit.blocking[0].check == "serving"
    ended = audited(Frames({**PLANT.tables, "readings": both[both["ts"] < last]}))
    assert ended.passed
    assert [f.check for f in ended.findings if f.check in ("source", "serving")] == ["source"]
