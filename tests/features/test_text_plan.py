"""A plan with texts: the model that it carries, features that see nothing of the future, and codes that texts fill."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features import FeaturePlan, FeatureSpec, LabelSpec, as_of, equipment_matrix, failure_labels, label_report, plan
from features.asof import history, last_versions, moment
from features.lineage import source_rows
from features.spec import MaintenanceSpec
from features.text import OTHER, UNKNOWN, TextModel
from features.text_fill import codes_in_time
from features.text_fit import fit_before
from features.text_rules import Rule, shipped_rules, text_rules
from plant.errors import SteadylineError
from plant.tables import TABLES, conform
from tests.features.conftest import DAY, EQUIPMENT, HOUR, Memory, at, memory
from tests.features.test_lineage import others, value
from tests.features.test_point_in_time import CUTOFFS, same
from tests.features.test_text_orders import MODES, WORDS, plant

LEAST = 0.4
SPEC = FeatureSpec.model_validate({
    "sensors": False, "events": False, "downtime": False, "static": False,
    "maintenance": {"windows": ["12h", "4d"], "fill_codes": LEAST},
    "texts": {"windows": ["12h", "4d"], "min_confidence": 0.3},
})
SEEDS = st.integers(0, 10_000)
SOME = st.lists(st.sampled_from(CUTOFFS), min_size=4, max_size=4, unique=True)


def works(seed: int, versions: bool = True) -> Memory:
    """A random plant whose orders carry late and corrected texts, after a hundred old ones that a model learns from."""
    made = plant(seed, versions)
    old = [
        {"work_order_id": f"old{i}", "equipment_id": EQUIPMENT[i % 3], "kind": "corrective", "opened_at": at(i - 200),
         "closed_at": at(i - 199), "failure_mode": MODES[i % 2], "text": WORDS[(i % 2) * 3 + i % 3]}
        for i in range(100)
    ]
    orders = pd.concat([memory(work_orders=old).tables["work_orders"], made.tables["work_orders"]], ignore_index=True)
    return memory(**{**made.tables, "work_orders": orders})


def planned(snapshot: Any, spec: FeatureSpec = SPEC, **more: Any) -> FeaturePlan:
    return plan(snapshot, spec, "equipment", at(150), EQUIPMENT, **more)


def machines(times: list[pd.Timestamp]) -> pd.DataFrame:
    return pd.DataFrame([(e, t) for t in times for e in EQUIPMENT], columns=["equipment_id", "t"])


def test_the_plan_holds_the_model_that_was_fitted_before_the_end_of_training() -> None:
    snapshot = works(1)
    made = planned(snapshot)
    assert made.vocabulary.text_model is not None
    assert made.vocabulary.texts == fit_before(snapshot, at(150)).to_json()
    assert made.vocabulary.text_model.head("failure_mode").learnt
    assert set(MODES) <= set(made.vocabulary.text_modes)
    assert {"text.since.leak", "text.count.wear.12h", "text.share.leak.4d", "text.confidence"} <= {
        f.name for f in made.features}
    for without in (FeatureSpec(), FeatureSpec.model_validate({"texts": False})):
        assert planned(snapshot, without).vocabulary.texts == {}
        assert not [f.name for f in planned(snapshot, without).features if f.name.startswith("text.")]
    assert plan(snapshot, SPEC, "batch", at(150)).vocabulary.texts == {}


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_same_data_same_bytes_and_the_plan_reads_back_as_it_was(seed: int) -> None:
    snapshot = works(seed)
    mixed = Memory({n: f.sample(frac=1, random_state=seed) for n, f in snapshot.tables.items()}, snapshot.data_end)
    made = planned(snapshot)
    written = json.dumps(made.to_json())
    assert json.dumps(planned(mixed).to_json()) == written
    assert json.dumps(planned(as_of(snapshot, at(150))).to_json()) == written, "nothing known from then on is in it"
    back = FeaturePlan.from_json(json.loads(written))
    assert back == made
    assert back.to_json() == made.to_json()
    same(equipment_matrix(snapshot, made, machines(CUTOFFS)), equipment_matrix(snapshot, back, machines(CUTOFFS)))


@settings(max_examples=15, deadline=None)
@given(SEEDS, SOME)
def test_training_and_serving_give_the_same_bits(seed: int, times: list[pd.Timestamp]) -> None:
    """The whole matrix, and what a service makes with the stored plan of what it knew at the cut-off."""
    snapshot = works(seed)
    made = planned(snapshot)
    served = FeaturePlan.from_json(json.loads(json.dumps(made.to_json())))
    whole = equipment_matrix(snapshot, made, machines(CUTOFFS))
    for t in times:
        rows = (whole.rows["t"] == t).to_numpy()
        same(whole, equipment_matrix(as_of(snapshot, t), served, machines([t])), rows)
        for i in np.flatnonzero(rows):
            same(whole, equipment_matrix(snapshot, served, whole.rows.iloc[[i]]), slice(i, i + 1))


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(CUTOFFS[2:-1]))
def test_texts_and_codes_recorded_from_t_on_change_nothing_at_t(seed: int, t: pd.Timestamp) -> None:
    snapshot, made = works(seed), planned(works(seed))
    frame = snapshot.tables["work_orders"]
    added = works(seed + 1).tables["work_orders"].drop_duplicates("work_order_id").copy()
    added["recorded_at"] = t + pd.to_timedelta(np.arange(len(added)) % 3, unit="h")
    later = memory(**{**snapshot.tables, "work_orders": conform(TABLES["work_orders"], pd.concat([frame, added]))})
    before, after = (equipment_matrix(of, made, machines([t])) for of in (snapshot, later))
    same(before, after)


def effective(seen: pd.DataFrame, model: TextModel) -> pd.DataFrame:
    """Orders of an as-of view with the mode that counts: the coded one, else what the text tells."""
    said = model.predict([x if isinstance(x, str) else None for x in seen["text"]])["failure_mode"]
    usable = [c >= LEAST and w not in (UNKNOWN, OTHER) for c, w in zip(said.confidence, said.code, strict=True)]
    coded = seen["failure_mode"].astype(object)
    return seen.assign(mode=[
        c if isinstance(c, str) else w if ok else None for c, w, ok in zip(coded, said.code, usable, strict=True)
    ])


def oracle(seen: pd.DataFrame, t: pd.Timestamp) -> dict[str, float]:
    """The features by mode of one equipment's orders, row by row."""
    out = {}
    for mode in MODES:
        closed = seen.loc[(seen["mode"] == mode) & seen["closed_at"].notna(), "closed_at"]
        out[f"maintenance.since_mode.{mode}"] = (t - closed.max()) / HOUR if len(closed) else np.nan
        for w in ("12h", "4d"):
            out[f"maintenance.count_mode.{mode}.{w}"] = float((closed >= t - pd.Timedelta(w)).sum())
    known = seen[(seen["kind"] == "corrective") & seen["mode"].notna()]
    again = []
    for o in known.itertuples():
        ahead = o.opened_at - known["opened_at"]
        again.append(((known["mode"] == o.mode) & (ahead > 0 * DAY) & (ahead <= 30 * DAY)).any())
    out["maintenance.repeats"] = float(np.mean(again)) if len(known) else np.nan
    return out


@settings(max_examples=15, deadline=None)
@given(SEEDS, SOME)
def test_filled_codes_count_as_the_slow_oracle_says(seed: int, times: list[pd.Timestamp]) -> None:
    snapshot = works(seed)
    made = planned(snapshot)
    model = made.vocabulary.text_model
    assert model is not None
    matrix = equipment_matrix(snapshot, made, machines(times))
    names = [f.name for f in matrix.features]
    for i, (equipment, t) in enumerate(zip(matrix.rows["equipment_id"], matrix.rows["t"], strict=True)):
        seen = as_of(snapshot, t).table("work_orders")
        for name, expected in oracle(effective(seen[seen["equipment_id"] == equipment], model), t).items():
            if name in names:
                np.testing.assert_allclose(matrix.values[i, names.index(name)], expected, rtol=1e-12, err_msg=name)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(CUTOFFS))
def test_a_code_that_is_known_is_never_overwritten(seed: int, t: pd.Timestamp) -> None:
    """At any time each order has at most one code: the coded one as soon as it is known, before it the text's."""
    snapshot = works(seed)
    log, model = history(snapshot).log("work_orders"), planned(snapshot).vocabulary.text_model
    assert model is not None
    codes = codes_in_time(log, "failure_mode", model, LEAST)
    now = np.flatnonzero((codes.start < moment(t)) & (moment(t) <= codes.until))
    assert len(set(codes.row[now])) == len(now)
    found = {log.words["work_order_id"][log.codes["work_order_id"][codes.row[k]]]: codes.words[codes.code[k]]
             for k in now}
    seen = effective(as_of(snapshot, t).table("work_orders"), model)
    assert found == {o.work_order_id: o.mode for o in seen.itertuples() if o.mode is not None}


def test_a_code_that_comes_later_counts_from_then_on() -> None:
    order = {"work_order_id": "W", "equipment_id": "press-1", "kind": "corrective", "opened_at": at(0),
             "closed_at": at(2), "text": "oil leak at pump"}
    snapshot = works(1)
    old = snapshot.tables["work_orders"]
    rows = [order, {**order, "failure_mode": "wear", "recorded_at": at(20)}]
    orders = pd.concat([old[old["work_order_id"].str.startswith("old")], memory(work_orders=rows).table("work_orders")])
    one = memory(**{**snapshot.tables, "work_orders": orders})
    asked = pd.DataFrame({"equipment_id": "press-1", "t": [at(2), at(3), at(20), at(21)]})
    matrix = equipment_matrix(one, planned(one), asked)
    values = {f.name: matrix.values[:, j].tolist() for j, f in enumerate(matrix.features)}
    assert values["maintenance.count_mode.leak.4d"] == [0, 1, 1, 0], "from its closing on, by the text"
    assert values["maintenance.count_mode.wear.4d"] == [0, 0, 0, 1], "and from its coding on, by the code"
    bare = planned(one, SPEC.model_copy(update={"maintenance": MaintenanceSpec(windows=("12h", "4d"))}))
    plain = equipment_matrix(one, bare, asked)
    values = {f.name: plain.values[:, j].tolist() for j, f in enumerate(plain.features)}
    assert values["maintenance.count_mode.leak.4d"] == [0, 0, 0, 0]
    assert values["maintenance.count_mode.wear.4d"] == [0, 0, 0, 1]


@settings(max_examples=6, deadline=None)
@given(SEEDS, st.sampled_from(CUTOFFS[3:]), st.sampled_from(EQUIPMENT))
def test_source_rows_are_all_that_a_value_is_made_of(seed: int, t: pd.Timestamp, subject: str) -> None:
    snapshot = works(seed)
    made = planned(snapshot)
    whole = value(snapshot, made, subject, t)
    assert any(n.startswith("text.") for n in whole)
    master = {name: snapshot.table(name) for name in ("equipment", "signals", "batches")}
    for name, (_, rows) in source_rows(snapshot, made, subject, t).items():
        only = FeaturePlan(made.kind, made.spec.model_copy(update={"exclude": others(made, name)}), made.vocabulary,
                           made.train_end)
        some = Memory({**{n: f for n, f in rows.items() if n not in master}, **master}, snapshot.data_end)
        np.testing.assert_array_equal(value(some, only, subject, t)[name], whole[name], err_msg=name)
        if ".count" in name:
            assert len(rows["work_orders"]) == whole[name], name


def test_the_rules_of_the_site_reach_the_plan() -> None:
    snapshot = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "press"}],
        work_orders=[{"work_order_id": "1", "equipment_id": "e", "kind": "corrective", "opened_at": at(1),
                      "closed_at": at(2), "text": "Rüssel sifft"}],
    )
    spec = FeatureSpec.model_validate({"texts": {"min_confidence": 0.5}, "maintenance": {"fill_codes": 0.5}})
    own = text_rules([*shipped_rules().rules, Rule("failure_mode", "leak", "sifft", 2.0)])
    made = plan(snapshot, spec, "equipment", at(9), rules=own)
    assert made.vocabulary.text_modes == made.vocabulary.modes == ("leak",)
    matrix = equipment_matrix(snapshot, made, pd.DataFrame({"equipment_id": ["e"], "t": [at(9)]}))
    found = {f.name: v for f, v in zip(matrix.features, matrix.values[0], strict=True)}
    assert (found["text.since.leak"], found["maintenance.since_mode.leak"]) == (8.0, 7.0)
    for end, modes in ((at(1), ()), (at(1) + pd.Timedelta(1, "us"), ("leak",))):
        early = plan(snapshot, spec, "equipment", end, rules=own).vocabulary
        assert early.text_modes == early.modes == modes, "a text is known strictly after its order was opened"
    bare = plan(snapshot, spec, "equipment", at(9))
    assert bare.vocabulary.text_modes == bare.vocabulary.modes == ()


def test_a_damaged_model_is_refused_when_the_plan_is_read() -> None:
    stored = planned(works(2)).to_json()
    stored["vocabulary"]["texts"]["idf"] = "AAAA"
    with pytest.raises(SteadylineError) as refused:
        FeaturePlan.from_json(stored)
    assert refused.value.code == "bad_text_model"


@pytest.mark.parametrize("wrong", [True, 0, 1.5, "sure"])
def test_a_confidence_is_a_number_up_to_one(wrong: Any) -> None:
    for spec in ({"maintenance": {"fill_codes": wrong}}, {"texts": {"min_confidence": wrong}}):
        with pytest.raises(ValidationError, match="fill_codes|min_confidence"):
            FeatureSpec.model_validate(spec)
    with pytest.raises(ValidationError, match="fill_codes"):
        LabelSpec.model_validate({"failure": {"fill_codes": wrong}})


def test_reading_a_plan_and_making_features_of_it_needs_no_scikit_learn(tmp_path: Any) -> None:
    snapshot = works(3)
    stored = tmp_path / "plan.json"
    stored.write_text(json.dumps(planned(snapshot).to_json()), encoding="utf-8")
    code = """
import json, sys
import pandas as pd
from features import FeaturePlan, equipment_matrix
from plant.snapshot import Frames
plan = FeaturePlan.from_json(json.load(open(sys.argv[1], encoding="utf-8")))
t = pd.Timestamp("2026-01-02", tz="UTC")
orders = pd.DataFrame({"work_order_id": ["1"], "equipment_id": "e", "kind": "corrective", "opened_at": t,
                       "text": "oil leak at pump"})
plant = Frames({"equipment": pd.DataFrame({"equipment_id": ["e"], "equipment_class": "press"}), "work_orders": orders})
made = equipment_matrix(plant, plan, pd.DataFrame({"equipment_id": ["e"], "t": [t + pd.Timedelta("1h")]}))
print(made.values[0, [f.name for f in made.features].index("text.since.leak")], "sklearn" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code, str(stored)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1.0", "False"]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(["all", ["leak"]]), st.sampled_from(["mode", "equipment"]))
def test_filled_labels_are_those_of_orders_that_a_person_coded_so(seed: int, modes: Any, by: str) -> None:
    """The same as if the text's code stood in every uncoded order, and nothing else was touched."""
    snapshot, asked = works(seed), machines(CUTOFFS)
    model = fit_before(snapshot, at(0))
    last = effective(last_versions(snapshot, "work_orders"), model)
    coded = last["failure_mode"].notna()
    assert (last.loc[coded, "mode"] == last.loc[coded, "failure_mode"]).all()
    by_hand = memory(**{**snapshot.tables, "work_orders": last.assign(failure_mode=last["mode"]).drop(columns="mode")})
    rules = {"modes": modes}
    plain = LabelSpec.model_validate({"failure": rules, "episode_by": by})
    filled = LabelSpec.model_validate({"failure": {**rules, "fill_codes": LEAST}, "episode_by": by})
    pd.testing.assert_frame_equal(
        failure_labels(snapshot, filled, asked, texts=model), failure_labels(by_hand, plain, asked))


def test_labels_by_hand() -> None:
    snapshot = works(1)
    model = fit_before(snapshot, at(0))
    order = {"equipment_id": "press-1", "kind": "corrective"}
    rows = [
        {**order, "work_order_id": "1", "opened_at": at(10), "closed_at": at(11), "text": "oil leak at pump"},
        {**order, "work_order_id": "2", "opened_at": at(20), "closed_at": at(21), "text": "oil leak at pump",
         "failure_mode": "wear"},
        {**order, "work_order_id": "3", "opened_at": at(30), "closed_at": at(31), "text": "xqzv"},
    ]
    one = memory(**{**snapshot.tables, "work_orders": rows})
    asked = pd.DataFrame({"equipment_id": "press-1", "t": [at(9), at(19), at(29)]})
    spec = LabelSpec.model_validate({"failure": {"fill_codes": 0.8}})
    assert failure_labels(one, LabelSpec(), asked)["mode"].tolist() == ["unknown", "wear", "unknown"]
    assert failure_labels(one, spec, asked, texts=model)["mode"].tolist() == ["leak", "wear", "unknown"]
    assert label_report(one, spec, asked, texts=model).failures == {"leak": 1, "unknown": 1, "wear": 1}
    only = LabelSpec.model_validate({"failure": {"modes": ["leak"], "fill_codes": 0.8}})
    assert failure_labels(one, only, asked, texts=model)["observed"].tolist() == [True, False, False]
    with pytest.raises(SteadylineError) as refused:
        failure_labels(one, spec, asked)
    assert refused.value.code == "no_text_model"
