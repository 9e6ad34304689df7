"""The virtual plant: same seed same bytes, truth apart, enough to learn from, two dialects of one history."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from plant.connect import connect
from plant.errors import UnknownId
from plant.site import load_site
from plant.tables import TABLES, conform
from plant.virtual import CROSSWALKS, DIALECTS, History, SimulationSummary, make_history, simulate, write_exports
from plant.virtual_catalogue import START
from plant.virtual_export import FACTORS, converted
from plant.virtual_history import clear_of_clock_changes, known_at
from plant.virtual_machines import MACHINES
from plant.virtual_utilities import KINDS, SIGNALS

SITES = Path(__file__).parents[2] / "sites"
SITE_OF = {"dublin": "virtual_dublin", "graz": "virtual_graz"}
TRUTH = {"states", "failures", "lives", "remaining", "quality", "quality_gates", "lots", "exceptions"}


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def history() -> History:
    return make_history("virtual_dublin", "tiny", 7)


@pytest.fixture(scope="module", params=["virtual_dublin", "virtual_graz"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulationSummary, Path]:
    out = tmp_path_factory.mktemp(request.param)
    return simulate(request.param, "tiny", 3, out), out


def test_same_seed_same_bytes_and_another_seed_other_bytes(
    written: tuple[SimulationSummary, Path], tmp_path: Path
) -> None:
    summary, out = written
    simulate(summary.site, "tiny", 3, tmp_path / "again")
    simulate(summary.site, "tiny", 4, tmp_path / "other")
    assert _digests(tmp_path / "again") == _digests(out)
    other = _digests(tmp_path / "other")
    assert set(other) == set(_digests(out))
    plan = {p for p in other if p.endswith(("tags.csv", "messstellen.csv", "assets.csv", "equipment.csv"))}
    assert all(other[p] != d for p, d in _digests(out).items() if p not in plan)


def test_truth_lies_apart_and_no_export_names_it(written: tuple[SimulationSummary, Path]) -> None:
    _, out = written
    assert {p.stem for p in (out / "truth").iterdir()} == TRUTH
    assert {p.name for p in out.iterdir()} == {"exports", "truth"}
    words = ("hazard", "p_fail", "p_out_of_spec", "true_mean", "imperfect", "remaining", "due_at")
    for path in (out / "exports").rglob("*"):
        if path.suffix == ".csv":
            text = path.read_bytes().decode("latin-1").lower()
        elif path.suffix == ".parquet":
            text = " ".join(pq.read_schema(path).names)
        else:
            continue
        assert not [w for w in words if w in text], path


def test_tiny_is_enough_to_learn_from(written: tuple[SimulationSummary, Path]) -> None:
    summary, _ = written
    assert summary.simulated
    assert summary.failures >= 15
    assert set(summary.failures_by_class) == {c.name for c in KINDS}
    assert summary.batches >= 60
    assert 0.01 <= summary.out_of_spec_share <= 0.10
    assert set(summary.rows) == set(TABLES)
    assert all(summary.rows.values())


def test_history_keeps_the_contract(history: History) -> None:
    for name, frame in history.tables.items():
        contract = TABLES[name]
        conform(contract, frame)
        keys = [*contract.key, "recorded_at"] if "recorded_at" in frame else list(contract.key)
        assert not frame.duplicated(keys).any(), name
        for column in contract.columns:
            if column.required:
                assert frame[column.name].notna().all(), (name, column.name)
            if column.codes:
                assert set(frame[column.name].dropna()) <= set(column.codes), (name, column.name)
            if column.kind == "time" and column.known_by != "always" and column.name in frame:
                assert not (frame[column.name] >= history.end).any(), (name, column.name)
    for first, last, name in (("started_at", "ended_at", "downtime"), ("started_at", "ended_at", "batch_steps")):
        table = history.tables[name].dropna(subset=[last])
        assert (table[last] >= table[first]).all(), name


def test_readings_lie_inside_the_steps_of_their_machine(history: History) -> None:
    readings = history.tables["readings"].astype({"equipment_id": str})
    prefixes = tuple(f"{c.prefix}-" for c in MACHINES)
    readings = readings[readings["equipment_id"].str.startswith(prefixes)].sort_values("ts")
    steps = history.tables["batch_steps"].sort_values("started_at")
    steps = steps.astype({"equipment_id": str})[["equipment_id", "started_at", "ended_at"]]
    joined = pd.merge_asof(readings, steps, left_on="ts", right_on="started_at", by="equipment_id")
    assert joined["started_at"].notna().all()
    assert (joined["ended_at"].isna() | (joined["ts"] <= joined["ended_at"])).all()


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_mapping_gives_back_the_history_exactly(dialect: str, history: History, tmp_path: Path) -> None:
    """The same physical history in either dialect: every value of every table, bit for bit."""
    write_exports(history, dialect, tmp_path / "exports")
    connected = connect(load_site(SITES / SITE_OF[dialect]), tmp_path / "exports", tmp_path / "store")
    assert sum(count.quarantined for count in connected.tables.values()) >= 12
    for name, table in history.tables.items():
        got, want = (_plain(name, f) for f in (connected.snapshot.table(name), table))
        pd.testing.assert_frame_equal(got, want, check_exact=True, check_dtype=False, obj=f"{dialect} {name}")


def _plain(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Contract columns in key order, without what a dialect names by itself (site, source_tag)."""
    contract = TABLES[name]
    extra = sorted(set(frame.columns) - set(contract.names) - {"recorded_at", "source_file", "source_line"})
    out = conform(contract, frame)[[*contract.names, "recorded_at", *extra]].drop(
        columns=["site", "source_tag"], errors="ignore"
    )
    for column in contract.columns:
        if column.kind == "string" and column.name in out:
            out[column.name] = out[column.name].astype(object).where(out[column.name].notna(), "").astype(str)
    return out.sort_values([*contract.key, "recorded_at"]).reset_index(drop=True)


def test_the_dialects_disagree_on_everything(history: History, tmp_path: Path) -> None:
    for dialect in DIALECTS:
        write_exports(history, dialect, tmp_path / dialect)
    dublin, graz = ({p.name for p in (tmp_path / d).rglob("*") if p.is_file()} for d in ("dublin", "graz"))
    assert not dublin & graz
    orders = (tmp_path / "dublin" / "cmms" / "workorders.csv").read_bytes()
    notes = (tmp_path / "graz" / "sap" / "meldungen.csv").read_bytes()
    orders.decode("utf-8")
    results = (tmp_path / "graz" / "labor" / "ergebnisse.csv").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        results.decode("utf-8")
    assert "Härte" in results.decode("cp1252")
    english, german = (
        pd.read_csv(tmp_path / p, sep=s, dtype=str, encoding=e, keep_default_na=False)
        for p, s, e in (("dublin/cmms/workorders.csv", ",", "utf-8"), ("graz/sap/meldungen.csv", ";", "cp1252"))
    )
    assert not set(english.columns) & set(german.columns)
    assert not set(english["ASSETNUM"]) & set(german["EQUNR"])
    assert german["ISTKOSTEN"].str.fullmatch(r"\d{1,3}\.\d{3},\d\d").any()
    assert b"\r\n" in notes
    one = english[english["WONUM"] == history.tables["work_orders"]["work_order_id"].iloc[5]].iloc[0]
    other = german[german["QMNUM"] == one["WONUM"]].iloc[0]
    there = pd.to_datetime(one["REPORTDATE"]).tz_localize("Europe/Dublin")
    here = pd.to_datetime(other["QMDAT"], format="%d.%m.%Y %H:%M").tz_localize("Europe/Vienna")
    assert here - there == pd.Timedelta("7min")


def test_the_sites_differ_in_substance(history: History) -> None:
    other = make_history("virtual_graz", "tiny", 7)
    assert len(other.tables["equipment"]) != len(history.tables["equipment"])
    assert set(other.tables["batches"]["product"]) != set(history.tables["batches"]["product"])
    assert len(other.truth["failures"]) != len(history.truth["failures"])
    assert any("ö" in text or "ü" in text or "ß" in text for text in other.tables["work_orders"]["text"])


@pytest.mark.parametrize("dialect", sorted(CROSSWALKS))
def test_crosswalk_files_are_those_of_the_exports(dialect: str) -> None:
    folder = SITES / SITE_OF[dialect] / "crosswalks"
    want = CROSSWALKS[dialect]()
    assert {p.name for p in folder.iterdir()} == set(want)
    for name, frame in want.items():
        assert (folder / name).read_text(encoding="utf-8") == frame.to_csv(index=False, lineterminator="\n"), (
            f"{name} is stale: plant.virtual.write_crosswalks('{dialect}', folder) writes it"
        )


@pytest.mark.parametrize(("unit", "other"), sorted(FACTORS))
def test_values_survive_the_conversion_of_units(unit: str, other: str) -> None:
    """The factors here are written out by hand; those of the mapping are pint's."""
    from plant.units import convert

    values = np.round(np.random.default_rng(1).uniform(0.0, 700.0, 5000), 2)
    back = np.round(convert(converted(values, unit, other, 2), other, unit), 2)
    assert (back == values).all()


def test_no_record_falls_into_a_change_of_clocks() -> None:
    minutes = np.arange(0, 366 * 1440, 7, dtype=np.float64)
    moved = clear_of_clock_changes(minutes)
    assert (np.diff(moved) >= 0).all()
    stamps = pd.DatetimeIndex(START.tz_localize(None) + pd.to_timedelta(moved, "min")).tz_localize("UTC")
    for zone in ("Europe/Dublin", "Europe/Vienna"):
        for shift in ("0min", "7min"):
            local = (stamps + pd.Timedelta(shift)).tz_convert(zone).tz_localize(None)
            again = local.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
            assert not again.isna().any(), (zone, shift)
    assert np.isnan(clear_of_clock_changes(np.array([np.nan]))).all()


def test_an_export_shows_only_what_was_known_at_its_end() -> None:
    end = pd.Timestamp("2025-02-01", tz="UTC")
    day = pd.Timedelta(days=1)
    table = pd.DataFrame(
        {
            "work_order_id": ["1", "2", "3"],
            "equipment_id": "press-1",
            "kind": "corrective",
            "opened_at": [end - 3 * day, end - day, end + day],
            "closed_at": [end - 2 * day, end + day, end + 2 * day],
            "failure_mode": "punch_damage",
            "cost": 100.0,
        }
    )
    seen = known_at(TABLES["work_orders"], table, end)
    assert list(seen["work_order_id"]) == ["1", "2"]
    assert seen["closed_at"].isna().tolist() == [False, True]
    assert seen["failure_mode"].tolist() == ["punch_damage", None]
    assert seen["cost"].isna().tolist() == [False, True]


def test_unknown_site_size_and_dialect_are_refused(history: History, tmp_path: Path) -> None:
    with pytest.raises(UnknownId, match="did you mean 'virtual_graz'"):
        simulate("virtual_gratz", "tiny", 1, tmp_path)
    with pytest.raises(UnknownId, match="tiny, demo, large"):
        simulate("virtual_graz", "huge", 1, tmp_path)
    with pytest.raises(UnknownId, match="dublin, graz"):
        write_exports(history, "klingon", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_signal_name_means_one_quantity() -> None:
    for kind in KINDS:
        for signal in kind.signals:
            same = SIGNALS[signal.name]
            assert (same.unit, same.decimals) == (signal.unit, signal.decimals)
        states = {m.state for m in kind.mechanisms}
        assert {state for s in kind.signals for state in s.traces} == states, kind.name
