"""What of the laboratory holds for a batch at a time: its specification, and the results that were known then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.spec import BatchPopulation
from plant.snapshot import Frames
from serving.batches import BatchBook

START = pd.Timestamp("2026-01-01", tz="UTC")
DAY = pd.Timedelta(days=1)


def day(number: float) -> pd.Timestamp:
    return START + number * DAY


def batch(name: str, begun: float, product: str = "P", recipe: str | None = None) -> dict[str, Any]:
    return {"batch_id": name, "product": product, "recipe": recipe, "started_at": day(begun),
            "ended_at": day(begun + 0.5)}


def sample(name: str, taken: float, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    return {"result_id": f"{name}/{taken}", "batch_id": name, "attribute": "assay", "sampled_at": day(taken),
            "lower_spec": low, "upper_spec": high, "recorded_at": pd.NaT} | more


def book(batches: list[dict[str, Any]], samples: list[dict[str, Any]]) -> BatchBook:
    spec = SimpleNamespace(population=BatchPopulation(), gates=("before_start",), target="numeric")
    predictor: Any = SimpleNamespace(spec=spec, attributes=("assay",))
    frames = Frames({"batches": pd.DataFrame(batches), "lab_results": pd.DataFrame(samples)})
    return BatchBook("here", frames, predictor, lambda *_: np.empty((0, 0)))


def limits(of: BatchBook, name: str, at: float) -> tuple[float | None, float | None]:
    return of.limits(name, day(at))["assay"]


def test_a_limit_that_changed_is_the_one_in_force_then() -> None:
    of = book(
        [batch(f"B{n}", n) for n in range(10)],
        [sample(f"B{n}", n + 1.0, 95.0 if n < 5 else 97.0, 105.0) for n in range(9)],
    )
    assert limits(of, "B9", 9.1) == (97.0, 105.0)
    assert limits(of, "B5", 5.1) == (95.0, 105.0)  # its own sample, with the new limit, was not taken yet
    assert limits(of, "B5", 6.1) == (97.0, 105.0)
    assert limits(of, "B5", 6.0) == (95.0, 105.0)  # taken at that very time: not known before it
    assert limits(of, "B4", 9.9) == (95.0, 105.0)  # it was tested by the old one, and still is
    assert limits(of, "B0", 0.1) == (95.0, 105.0)  # nothing was sampled: agreed before the batch was made


def test_a_late_sample_of_an_old_batch_does_not_bring_its_limit_back() -> None:
    of = book(
        [batch("B1", 1), batch("B2", 5), batch("B3", 10)],
        [sample("B1", 2.0, 95.0, 105.0), sample("B2", 6.0, 97.0, 103.0), sample("B1", 9.0, 95.0, 105.0)],
    )
    assert limits(of, "B3", 10.1) == (97.0, 103.0)


def test_a_corrected_limit_counts_from_its_correction() -> None:
    wrong = sample("B1", 2.0, 59.0, None)
    of = book([batch("B1", 1), batch("B2", 3)], [wrong, wrong | {"lower_spec": 95.0, "recorded_at": day(4)}])
    assert limits(of, "B2", 3.5) == (59.0, None)
    assert limits(of, "B2", 4.5) == (95.0, None)


@pytest.mark.parametrize("strength_in", ["product", "recipe"])
def test_each_strength_has_its_own(strength_in: str) -> None:
    def made(name: str, begun: float, strength: str) -> dict[str, Any]:
        if strength_in == "product":
            return batch(name, begun, f"P {strength}")
        return batch(name, begun, "P", strength)

    of = book(
        [made("B1", 1, "50 mg"), made("B2", 2, "100 mg"), made("B3", 3, "50 mg"), made("B4", 3.5, "200 mg")],
        [sample("B1", 1.5, 47.5, 52.5), sample("B2", 2.5, 95.0, 105.0)],
    )
    assert limits(of, "B3", 3.1) == (47.5, 52.5)
    assert limits(of, "B4", 3.6) == (None, None)  # those of another strength are not a guess at its own


def test_what_all_recipes_of_a_product_share_holds_for_a_new_one() -> None:
    of = book(
        [batch("B1", 1, "P", "v1"), batch("B2", 2, "P", "v2"), batch("B3", 3, "P", "v3"), batch("B4", 3, "Q", "v1")],
        [sample("B1", 1.5, 90.0, None), sample("B2", 2.5, 90.0, None)],
    )
    assert limits(of, "B3", 3.1) == (90.0, None)
    assert limits(of, "B4", 3.1) == (None, None)


def test_a_corrected_result_is_known_from_its_correction() -> None:
    """Between approval and correction its last version must not be looked at: neither for errors nor for the trend."""
    told: dict[str, Any] = {}

    class Model:
        def history(self, values: Any, found: Any, at: Any, known_at: Any) -> Any:
            told.update(found=found.tolist(), known_at=list(known_at))

    def result(n: int, value: float, **more: Any) -> dict[str, Any]:
        return sample(f"B{n}", n + 1.0, None, None, value=value, status=None, approved_at=day(n + 2), **more)

    batches = [batch(f"B{n}", n) for n in range(14)]
    rows = [result(n, 99.0 + n % 2) for n in range(13)]
    rows.append(result(3, 500.0) | {"recorded_at": day(30)})
    spec = SimpleNamespace(population=BatchPopulation(), gates=("before_start",), target="numeric", replicates="last")
    predictor: Any = SimpleNamespace(
        spec=spec, attributes=("assay",), models={("assay", "before_start"): Model()},
        data={"train_end": START.isoformat()},
    )
    frames = Frames({"batches": pd.DataFrame(batches), "lab_results": pd.DataFrame(rows)})
    of = BatchBook("here", frames, predictor, lambda ids, gate, times: np.zeros((len(ids), 1)))
    of.later(predictor, ["before_start"])
    assert told["found"][3] == 500.0
    assert told["known_at"][2:5] == [day(4), day(30), day(6)]
    before, after = (trend["assay"] for trend in of.trends([("B13", day(20)), ("B13", day(31))]))
    assert before[1] is not None
    assert before[1] < 105.0
    assert after[1] is not None
    assert after[1] > 300.0
