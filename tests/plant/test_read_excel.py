"""Excel: typed cells, formulas, sheets, lines, and files that only look like one."""

from __future__ import annotations

import datetime as dt
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant import read_excel
from plant.exports import header, read
from tests.plant.reading import Row, export, refusal, rows, says_enough

HERE = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sheet(folder: Path, *several: list[Any], name: str = "log.xlsx") -> Path:
    book = openpyxl.Workbook()
    for row in several:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


def edited(path: Path, member: str, change: Any) -> None:
    """The file with one member replaced."""
    with zipfile.ZipFile(path) as old:
        content = {m: old.read(m) for m in old.namelist()}
    content[member] = change(content[member])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for one, data in content.items():
            new.writestr(one, data)


def excel(folder: Path, **keys: Any) -> Any:
    return export(folder, "log.xlsx", format="excel", **keys)


SHEET = "xl/worksheets/sheet1.xml"


class TestCells:
    def test_types(self, tmp_path: Path) -> None:
        at = dt.datetime(2025, 7, 1, 12, 30)  # noqa: DTZ001
        sheet(
            tmp_path,
            ["id", "at", "day", "value", "ok", "text", "mixed"],
            [1, at, dt.date(2025, 7, 1), 1.5, True, " Düse ", 7],
            [2, None, None, None, None, None, "x"],
        )
        one = excel(tmp_path)
        [stretch] = read(one, set(header(one)))
        assert [str(t) for t in stretch.table.schema.types] == [
            "int64", "timestamp[us]", "timestamp[us]", "double", "bool", "string", "string",
        ]  # fmt: skip
        day = dt.datetime(2025, 7, 1)  # noqa: DTZ001
        assert rows(one) == ([(2, 1, at, day, 1.5, True, "Düse", "7"), (3, 2, None, None, None, None, None, "x")], [])

    def test_lines_are_those_of_the_sheet(self, tmp_path: Path) -> None:
        sheet(tmp_path, ["Report"], [], ["id", None, "text"], [1, None, "a"], [], [" "], [2, 3, "b"], [3, 4, "c", "d"])
        one = excel(tmp_path, header_line=2)
        assert header(one) == ["id", "column 2", "text"]
        assert rows(one) == ([(4, 1, None, "a"), (7, 2, 3, "b")], [(8, "the row has 4 cells, the header 3")])
        assert [n for n, *_ in rows(excel(tmp_path, header=["a", "b", "c"]))[0]] == [1, 3, 4, 7]

    @pytest.mark.parametrize("rows_of_a_stretch", [1, 2, 1000])
    def test_what_is_no_row(self, tmp_path: Path, rows_of_a_stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_excel, "_ROWS", rows_of_a_stretch)
        sheet(tmp_path, ["id", "v"], [1, "#N/A"], ["id", "v"], [2, "=A2*2"], [3, "#DIV/0!"], [4, "n.a."], [5, 5])
        good, bad = rows(excel(tmp_path, missing=["#N/A", "n.a."]))
        assert [(n, i, None if v is None else float(v)) for n, i, v in good] == [
            (2, 1, None),
            (6, 4, None),
            (7, 5, 5.0),
        ]
        assert [n for n, _ in bad] == [3, 4, 5]
        assert bad[0][1] == "the header stands here once more"
        assert bad[1][1].startswith("'v' holds a formula without a stored value: =A2*2")
        assert bad[2][1] == "'v' holds the error #DIV/0!"

    def test_the_stored_value_of_a_formula_is_taken(self, tmp_path: Path) -> None:
        path = sheet(tmp_path, ["id", "v"], [1, "=A2*2"])
        for empty in (b"<v></v>", b"<v />", b"<v/>"):
            edited(path, SHEET, lambda x, v=empty: x.replace(b"<f>A2*2</f>" + v, b"<f>A2*2</f><v>14</v>"))
        assert rows(excel(tmp_path)) == ([(2, 1, 14)], [])

    def test_a_formula_in_a_column_that_nobody_asks_for(self, tmp_path: Path) -> None:
        sheet(tmp_path, ["id", "v"], [1, "=A2*2"])
        assert rows(excel(tmp_path), {"id"}) == ([(2, 1)], [])

    def test_a_sheet_that_lies_about_its_size(self, tmp_path: Path) -> None:
        path = sheet(tmp_path, ["id", "v"], [1, 2], [3, 4])
        edited(path, SHEET, lambda x: x.replace(b'ref="A1:B3"', b'ref="A1"'))
        assert len(rows(excel(tmp_path))[0]) == 2

    @HERE
    @given(
        several=st.lists(
            st.tuples(
                st.integers(-(2**40), 2**40) | st.none(),
                st.floats(-1e9, 1e9) | st.none(),
                st.text(st.sampled_from("aé 1,"), max_size=5) | st.none(),
            ),
            min_size=1,
            max_size=10,
        )
    )
    def test_what_is_written_is_read(self, tmp_path: Path, several: list[Row]) -> None:
        sheet(tmp_path, ["a", "b", "c"], *[list(r) for r in several])
        good, bad = rows(excel(tmp_path))
        plain = [(a, b, (c or "").strip() or None) for a, b, c in several]
        expected = [(n, *r) for n, r in enumerate(plain, 2) if any(v is not None for v in r)]
        assert not bad
        for got, (line, *cells) in zip(good, expected, strict=True):
            assert got[0] == line
            assert got[1] == cells[0]
            assert got[2] == pytest.approx(cells[1])
            assert got[3] == cells[2]


class TestSheets:
    def test_by_name_or_the_first_one_to_be_seen(self, tmp_path: Path) -> None:
        book = openpyxl.Workbook()
        book.active.title = "Notes"
        book.active.append(["nothing"])
        book.active.sheet_state = "hidden"
        for title, value in (("Orders", 1), ("Stops", 2)):
            book.create_sheet(title).append(["id"])
            book[title].append([value])
        book["Orders"].row_dimensions[2].hidden = True
        book.active = 1
        book.save(tmp_path / "log.xlsx")
        assert rows(excel(tmp_path))[0] == [(2, 1)], "hidden rows are rows"
        assert rows(excel(tmp_path, sheet="Stops"))[0] == [(2, 2)]
        assert header(excel(tmp_path, sheet="Notes")) == ["nothing"]
        refused = refusal(excel(tmp_path, sheet="Stop"))
        assert refused is not None
        assert refused.code == "unknown_sheet"
        assert "did you mean 'Stops'?" in refused.found
        assert refused.allowed == "Notes, Orders, Stops"

    def test_merged_cells_hold_their_value_once(self, tmp_path: Path) -> None:
        book = openpyxl.Workbook()
        for row in (["id", "line"], [1, "A"], [2, None]):
            book.active.append(row)
        book.active.merge_cells("B2:B3")
        book.save(tmp_path / "log.xlsx")
        assert rows(excel(tmp_path))[0] == [(2, 1, "A"), (3, 2, None)]

    def test_empty(self, tmp_path: Path) -> None:
        sheet(tmp_path)
        for keys in ({}, {"header_line": 3}):
            refused = refusal(excel(tmp_path, **keys))
            assert refused is not None
            assert refused.code == "empty_file"
        sheet(tmp_path, ["id"])
        assert rows(excel(tmp_path)) == ([], [])
        assert [s.table.column_names for s in read(excel(tmp_path), {"id"})] == [["id"]]


class TestHostile:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"id,v\n1,2\n", "not a zip file"),
            (b"", "not a zip file"),
            (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "of the old kind"),
        ],
    )
    def test_what_is_none(self, tmp_path: Path, content: bytes, said: str) -> None:
        (tmp_path / "log.xlsx").write_bytes(content)
        refused = refusal(excel(tmp_path))
        assert refused is not None
        assert said in refused.found
        assert says_enough(refused, "log.xlsx")

    def test_a_zip_bomb_is_refused_before_it_is_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_excel, "HARMLESS", 1 << 20)
        path = sheet(tmp_path, ["id"], [1])
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet9.xml", b"\0" * (8 << 20))
        refused = refusal(excel(tmp_path))
        assert refused is not None
        assert refused.code == "unpacks_too_far"

    @pytest.mark.parametrize("row", [2_000_000, 10**15])
    def test_a_row_far_away(self, tmp_path: Path, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_excel, "_LAST_ROW", 5000)
        path = sheet(tmp_path, ["id"], [1])
        edited(path, SHEET, lambda x: x.replace(b'r="2"', f'r="{row}"'.encode()).replace(b'"A2"', f'"A{row}"'.encode()))
        refused = refusal(excel(tmp_path))
        assert refused is not None
        assert "more rows than a sheet can have" in refused.found

    def test_entities_are_not_expanded(self, tmp_path: Path) -> None:
        path = sheet(tmp_path, ["id"], [1])
        bomb = b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;">]>'
        edited(path, SHEET, lambda x: bomb + x[x.index(b"<worksheet") :])
        refused = refusal(excel(tmp_path))
        assert refused is not None
        chain, e = "", refused.__cause__
        while e is not None:
            chain, e = chain + repr(e), e.__cause__ or e.__context__
        assert "EntitiesForbidden" in chain

    @HERE
    @given(keep=st.floats(0, 0.999), at=st.floats(0, 0.999), byte=st.integers(0, 255))
    def test_truncated_and_damaged(self, tmp_path: Path, keep: float, at: float, byte: int) -> None:
        path = sheet(tmp_path, ["id", "at", "v"], [1, dt.date(2025, 1, 1), "=A2"], [2, None, "text"])
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        refused = refusal(excel(tmp_path))
        assert refused is not None
        assert says_enough(refused, "log.xlsx")
        damaged = bytearray(whole)
        damaged[int(len(whole) * at)] = byte
        path.write_bytes(damaged)
        assert says_enough(refusal(excel(tmp_path)), "log.xlsx")

    @HERE
    @given(at=st.floats(0, 0.999), piece=st.sampled_from([b"<", b"r=", b"v>", b"9", b"</row>", b"\xff", b't="d"']))
    def test_damaged_xml(self, tmp_path: Path, at: float, piece: bytes) -> None:
        path = sheet(tmp_path, ["id", "at", "v"], [1, dt.date(2025, 1, 1), "=A2"], [2, None, "text"])

        def change(xml: bytes) -> bytes:
            place = int(len(xml) * at)
            return xml[:place] + piece + xml[place + 1 :]

        edited(path, SHEET, change)
        with warnings.catch_warnings(record=True) as told:
            assert says_enough(refusal(excel(tmp_path)), "log.xlsx")
        assert not told
