"""The small parts of the plant language: contracts, units, refusals, and where state lies."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from plant import units
from plant.errors import SourceError, SteadylineError, listing, nearest
from plant.home import mlruns_folder, reports_folder, state_home, store_root
from plant.tables import TABLES, arrow_schema, conform, empty_frame


class TestContracts:
    @pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
    def test_are_whole(self, table: object) -> None:
        table = TABLES[table.name]  # type: ignore[attr-defined]
        names = table.names
        assert len(set(names)) == len(names)
        for key in table.key:
            assert table.column(key).required, "a key is never empty"
        for name in names:
            known = table.known_column(name)
            assert known == "always" or table.column(known).kind == "time", f"{name} becomes known at a time"
        for column, other in table.references.items():
            assert column in names
            assert len(TABLES[other].key) == 1
        for column in table.columns:
            assert column.meaning
            assert column.kind != "float" or column.name in ("value", "size") or column.unit, (
                f"{column.name}: which unit?"
            )

    def test_what_becomes_known_later_than_it_happens(self) -> None:
        known = {
            ("downtime", "reason"): "ended_at",
            ("lab_results", "value"): "approved_at",
            ("work_orders", "failure_mode"): "closed_at",
            ("batches", "yield_pct"): "ended_at",
            ("batch_steps", "a recorded value"): "ended_at",
            ("equipment", "commissioned_at"): "always",
            ("work_orders", "text"): "opened_at",
            ("work_orders", "started_at"): "started_at",
        }
        assert {k: TABLES[k[0]].known_column(k[1]) for k in known} == known

    def test_conform_gives_every_column_its_type(self) -> None:
        frame = conform(TABLES["downtime"], pd.DataFrame({"downtime_id": ["1"], "planned": [True]}))
        assert list(frame.columns) == list(empty_frame(TABLES["downtime"]).columns)
        kinds = {c: str(t) for c, t in frame.dtypes.items()}
        assert kinds["started_at"] == kinds["recorded_at"] == "datetime64[us, UTC]"
        assert kinds["planned"] == "boolean"

    def test_conform_refuses_naive_times(self) -> None:
        with pytest.raises(ValueError, match="events.ts holds times without a time zone"):
            conform(TABLES["events"], pd.DataFrame({"ts": [pd.Timestamp("2025-01-01")]}))

    def test_only_open_tables_take_columns_of_their_own(self) -> None:
        frame = pd.DataFrame({"batch_id": ["B1"], "force": [1]})
        assert conform(TABLES["batch_steps"], frame)["force"].dtype == np.float64
        with pytest.raises(KeyError):
            conform(TABLES["batches"], frame)

    def test_stored_times_are_utc_with_microseconds(self) -> None:
        schema = arrow_schema(TABLES["batch_steps"], ("force",))
        assert schema.field("started_at").type == pa.timestamp("us", tz="UTC")
        assert schema.field("force").type == pa.float64()
        assert {"recorded_at", "source_file", "source_line"} < set(schema.names)


class TestUnits:
    @pytest.mark.parametrize(
        ("value", "source", "target", "expected"),
        [
            (212, "degF", "degC", 100),
            (1, "bar", "kPa", 100),
            (50, "%", "-", 0.5),
            (1, "g/ml", "kg/m^3", 1000),
            (0, "°C", "°F", 32),
            (1, "m²", "cm^2", 1e4),
            (1, "kg*m**2/s**2", "J", 1),
            (1, "µm", "mm", 0.001),
            (60, "rpm", "1/min", 2 * np.pi * 60),
            (90, "min", "h", 1.5),
        ],
    )
    def test_convert(self, value: float, source: str, target: str, expected: float) -> None:
        assert units.problem(source, target) == ""
        assert units.convert(np.array([value, np.nan]), source, target)[0] == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("source", "target", "expected"),
        [
            ("blah", "bar", "'blah' is no unit"),
            ("bar", "2 bar", "'2 bar' is no unit"),
            ("bar", "kg", "cannot be converted"),
            ("bar(", "kPa", "'bar(' is no unit"),
            ("m", "9**9**9", "'9**9**9' is no unit"),
            ("m**2**9**9", "m", "is no unit"),
            ("m^99999", "m", "is no unit"),
            ("9²²²²²²²", "m", "is no unit"),
            ("m" * 5000, "m", "is no unit"),
            ("__import__('os')", "m", "is no unit"),
            ("dBm/Hz", "mW/Hz", "'dBm/Hz' is no unit"),
            ("delta_degC", "degC", "cannot be converted"),
        ],
    )
    def test_problem(self, source: str, target: str, expected: str) -> None:
        assert expected in units.problem(source, target)

    def test_the_same_unit_changes_no_bit(self) -> None:
        values = np.array([0.1, 0.2])
        assert units.convert(values, "degC", " degC") is values


class TestHome:
    def test_default(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("STEADYLINE_HOME", raising=False)
        monkeypatch.chdir(tmp_path)
        assert state_home() == tmp_path / "var"
        assert mlruns_folder(state_home()) == tmp_path / "mlruns"
        assert not (tmp_path / "var").exists(), "it is made when something is written"

    def test_of_its_own(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("STEADYLINE_HOME", str(tmp_path / "h"))
        home = state_home()
        assert (home, store_root(home), reports_folder(home)) == (
            tmp_path / "h",
            tmp_path / "h/store",
            tmp_path / "h/reports",
        )
        assert mlruns_folder(home) == tmp_path / "h/mlruns"


class TestRefusals:
    def test_say_what_was_found_what_is_allowed_and_what_to_do(self) -> None:
        error = SourceError("missing_file", "no file", "a file", "put it there", ["one", "two"])
        assert str(error) == "no file\n  - one\n  - two\nAllowed: a file\nNext: put it there"
        assert error.as_dict() == {
            "code": "missing_file",
            "found": "no file",
            "allowed": "a file",
            "hint": "put it there",
            "details": ["one", "two"],
        }
        assert "details" not in SteadylineError("a", "b").as_dict()
        assert SteadylineError("a", "b").message() == "b"

    def test_nearest_and_listing(self) -> None:
        assert nearest("pres-1", ["press-1", "mixer-1"]) == "did you mean 'press-1'?"
        assert nearest("xyz", ["press-1"]) == ""
        assert listing(range(15)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 (and 3 more)"

    def test_codes_are_words_for_machines(self) -> None:
        codes = re.findall(
            r'(?:SteadylineError|SiteError|SourceError|StoreError|UnknownId|NotReady)\(\s*"([^"]+)"',
            "".join(p.read_text(encoding="utf-8") for p in Path(__file__).parents[2].glob("*/*.py")),
        )
        assert len(codes) > 20
        assert [c for c in codes if not re.fullmatch("[a-z_]+", c)] == []
