"""A starter loads, connects as far as possible, names what is not known, and never touches what is there."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from plant.connect import connect
from plant.errors import SiteError, SourceError, SteadylineError
from plant.site import load_site
from plant.starter import Starter, new_site, render_starter
from plant.starter_match import split_tag
from plant.starter_yaml import comment, scalar
from plant.virtual import simulate
from tests.plant.workshop import adds_up, total

SITES = Path(__file__).parents[2] / "sites"
# What the public exports are, by their cards: encoding is utf-8 and the decimal mark a point in all of them.
PUBLIC = {
    "zagar_tablets": {
        "Laboratory.csv": (";", {"batches", "lab_results"}),
        "Normalization.csv": (";", {""}),
        "Process.csv": (";", {"batches", "batch_steps"}),
        "timeseries/*.csv": (";", {"readings"}),
    },
    "azure_pdm": {
        "PdM_machines.csv": (",", {"equipment"}),
        "PdM_errors.csv": (",", {"events"}),
        "PdM_maint.csv": (",", {"work_orders"}),
        "PdM_failures.csv": (",", {"work_orders"}),
        "telemetry_20_machines/PdM_telemetry.csv": (",", {"readings"}),
    },
    "excavators": {"excavators.csv": (",", {"work_orders"}), "excavators-cleaned.csv": (",", {"work_orders"})},
    # Cycles are no times: nothing can be proposed, and nothing is.
    "cmapss": {"train_FD*.txt.gz": ("whitespace", {""}), "test_FD*.txt.gz": ("whitespace", {""})},
}


@pytest.fixture(scope="module")
def graz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graz")
    simulate("virtual_graz", "tiny", 7, out)
    return out / "exports"


def wrong_tables(starter: Starter, site: str) -> list[str]:
    """Sources that feed another table than the mapping by hand of the same file says."""
    known = load_site(SITES / site)
    feeds: dict[str, set[str]] = {}
    for table, items in known.tables.items():
        for item in items:
            feeds.setdefault(known.sources[item.source].path, set()).add(table)
    return [
        f"{g.path}: {starter.tables[g.name]}, not {sorted(feeds[g.path])}"
        for g in starter.guesses
        if g.path in feeds and starter.tables[g.name] not in feeds[g.path]
    ]


def wrong_dialects(starter: Starter, site: str) -> list[str]:
    """Sources whose delimiter, encoding or decimal mark is not that of the mapping by hand."""
    by_path = {s.path: s for s in load_site(SITES / site).sources.values()}
    wrong = []
    for g in starter.guesses:
        if g.path in by_path and g.format == "csv":
            source, marked = by_path[g.path], "no number" not in g.verdicts["decimal"].why
            told = (g.keys.get("delimiter", ","), g.keys.get("encoding", "utf-8"), g.keys.get("decimal", "."))
            if told[:2] != (source.delimiter, source.encoding) or (marked and told[2] != source.decimal):
                wrong.append(f"{g.path}: {told}")
    return wrong


@pytest.mark.parametrize(("site", "zone"), [("virtual_dublin", "Europe/Dublin"), ("virtual_graz", "Europe/Vienna")])
def test_a_starter_of_a_virtual_site_names_its_tables_and_connects(
    site: str, zone: str, tiny_exports: Path, graz: Path, tmp_path: Path
) -> None:
    exports = tiny_exports if site == "virtual_dublin" else graz
    starter = new_site("new", [exports], tmp_path / "new", zone)
    assert starter.loads
    assert wrong_dialects(starter, site) == []
    assert wrong_tables(starter, site) == []
    connected = connect(load_site(tmp_path / "new"), exports, tmp_path / "store")
    assert adds_up(connected)
    assert total(connected, "loaded") > 0.95 * total(connected, "read")
    assert total(connect(load_site(tmp_path / "new"), exports, tmp_path / "store"), "loaded") == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_a_starter_of_public_data_names_dialect_and_table(name: str, shared_data: Path, tmp_path: Path) -> None:
    starter = new_site(name, [shared_data / name], tmp_path / name, "UTC")
    by_path = {g.path: g for g in starter.guesses}
    for path, (delimiter, tables) in PUBLIC[name].items():
        g = by_path[path]
        assert (g.keys.get("delimiter", ","), g.keys.get("encoding", "utf-8")) == (delimiter, "utf-8"), path
        assert (g.keys.get("decimal", "."), g.keys.get("thousands", "")) == (".", ""), path
        assert starter.tables[g.name] in tables, path
    assert starter.loads == any(starter.tables[g.name] and g.name not in starter.waiting for g in starter.guesses)


ORDERS = (
    "Auftrag;Anlage;Auftragsart;Gemeldet am;Fertig;Kosten;Kurztext;Farbe\n"
    "1;PRESSE_01;CM;01.02.2025 06:00;02.02.2025 07:30;1.200,50;Stößel klemmt;rot\n"
    "2;PRESSE_02;PM;13.02.2025 06:00;13.02.2025 09:00;80,25;Wartung;blau\n"
    "3;PRESSE_01;XX;14.02.2025 06:00;;10,75;Lüfter;rot\n"
)


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "exports" / "auftraege.csv"
    path.parent.mkdir()
    path.write_bytes(ORDERS.encode("cp1252"))
    return path


def test_what_was_guessed_and_why_and_what_is_not_known_stands_in_the_file(orders: Path, tmp_path: Path) -> None:
    starter = new_site("werk", [orders], tmp_path / "werk", None)
    text = (tmp_path / "werk" / "site.yaml").read_text(encoding="utf-8")
    assert starter.loads
    for part in ('delimiter: ";"', "encoding: cp1252", 'decimal: ","', 'thousands: "."', "TODO the times name no zone"):
        assert part in text
    assert "# not mapped: Farbe: code; 2 different words" in text
    columns = load_site(tmp_path / "werk").tables["work_orders"][0].columns
    assert columns["opened_at"].format == "%d.%m.%Y %H:%M"
    assert columns["cost"].column == "Kosten"
    assert any("time zone" in note for note in starter.notes)
    assert any("XX" in note for note in starter.notes)


def test_every_code_stands_in_its_crosswalk_with_its_count(orders: Path, tmp_path: Path) -> None:
    new_site("werk", [orders], tmp_path / "werk", None)
    with (tmp_path / "werk" / "crosswalks" / "work_orders_kind.csv").open(encoding="utf-8") as f:
        rows = {row["code"]: row for row in csv.DictReader(f)}
    counted = Counter(line.split(";")[2] for line in ORDERS.splitlines()[1:])
    assert {code: int(row["note"].split(" ")[0]) for code, row in rows.items()} == counted
    assert {code: row["kind"] for code, row in rows.items()} == {"CM": "corrective", "PM": "preventive", "XX": ""}
    assert {row["review"] for row in rows.values()} == {"draft"}


def test_without_a_zone_connect_refuses_naive_times_and_with_one_it_connects(orders: Path, tmp_path: Path) -> None:
    new_site("naive", [orders], tmp_path / "naive", None)
    with pytest.raises(SourceError, match="no time zone"):
        connect(load_site(tmp_path / "naive"), orders.parent, tmp_path / "store")
    new_site("zoned", [orders], tmp_path / "zoned", "Europe/Vienna")
    connected = connect(load_site(tmp_path / "zoned"), orders.parent, tmp_path / "store")
    assert adds_up(connected)
    count = connected.tables["work_orders"]
    assert (count.loaded, count.quarantined) == (2, 1)  # XX means nothing yet


def test_the_machines_of_an_export_become_equipment_where_their_class_is_obvious(orders: Path, tmp_path: Path) -> None:
    new_site("werk", [orders], tmp_path / "werk", "Europe/Vienna")
    connected = connect(load_site(tmp_path / "werk"), orders.parent, tmp_path / "store")
    equipment = connected.snapshot.table("equipment")
    assert {(r.equipment_id, r.equipment_class) for r in equipment.itertuples()} == {
        ("PRESSE_01", "tablet_press"), ("PRESSE_02", "tablet_press"),
    }  # fmt: skip


def test_an_item_without_a_required_column_is_a_comment_that_says_which(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "stops.csv").write_text("STOP_ID,ASSET,REASON\n1,P1,JAM\n2,P2,JAM\n3,P1,LIM\n")
    (exports / "batches.csv").write_text("BATCH,ITEM,START\nB1,X,2025-01-01 06:00\nB2,X,2025-01-02 06:00\n")
    starter = new_site("new", [exports], tmp_path / "new", "UTC")
    assert starter.loads
    assert starter.waiting == {"stops": ("started_at",)}
    assert list(load_site(tmp_path / "new").tables) == ["batches"]
    text = (tmp_path / "new" / "site.yaml").read_text(encoding="utf-8")
    assert "TODO required column missing: started_at" in text
    # As the comment says: with the column named and the `# ` taken away, it loads.
    mended = text.replace("  # downtime:", "  downtime:").replace("  #   ", "    ")
    mended = mended.replace("        reason:", "        started_at: {column: REASON}\n        reason:")
    (tmp_path / "new" / "site.yaml").write_text(mended, encoding="utf-8")
    assert set(load_site(tmp_path / "new").tables) == {"batches", "downtime"}


def test_a_wide_export_is_a_signal_for_each_column(tmp_path: Path) -> None:
    rows = "".join(f"0{i}.02.2025 06:00;{i},5;{i},25;{i},75\n" for i in range(1, 10))
    (tmp_path / "trend.csv").write_text("Zeit;PR1.FORCE;PR1.SPEED;PR2.FORCE\n" + rows + "13.02.2025 06:00;;1,5;1,5\n")
    new_site("new", [tmp_path / "trend.csv"], tmp_path / "new", "Europe/Vienna")
    connected = connect(load_site(tmp_path / "new"), tmp_path, tmp_path / "store")
    found = connected.snapshot.table("readings")
    keys = set(zip(found["equipment_id"].astype(str), found["signal"].astype(str), strict=True))
    assert keys == {("PR1", "force"), ("PR1", "speed"), ("PR2", "force")}
    assert connected.tables["readings"].loaded == 29


@pytest.mark.parametrize(
    ("tag", "others", "parts"),
    [
        ("DUB.GR101.VIBRATION.PV", ["DUB.GR101.POWER.PV", "DUB.TP102.FORCE.PV"], ("GR101", "vibration")),
        ("P1:TEMP", ["P2:TEMP", "P1:SPEED"], ("P1", "temp")),
        ("4711", ["4712"], ("", "")),
    ],
)
def test_tags_are_split_into_equipment_and_signal(tag: str, others: list[str], parts: tuple[str, str]) -> None:
    assert split_tag(tag, others) == parts


def test_an_existing_folder_is_refused_and_not_touched(orders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(SiteError, match="exists"):
        new_site("there", [orders], folder, None)
    assert [p.name for p in folder.iterdir()] == ["mine.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exports", "there"]


@pytest.mark.parametrize(
    ("name", "zone", "files"),
    [("a b", None, "auftraege.csv"), ("a", "Vienna", "auftraege.csv"), ("a", None, "none.csv"), ("a", None, "a.pdf")],
)
def test_a_refusal_leaves_nothing_behind(
    name: str, zone: str | None, files: str, orders: Path, tmp_path: Path
) -> None:
    (orders.parent / "a.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(SteadylineError):
        new_site(name, [orders.parent / files], tmp_path / "new", zone)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exports"]


def test_as_dict_and_render_say_the_same_of_every_source(orders: Path, tmp_path: Path) -> None:
    starter = new_site("werk", [orders], tmp_path / "werk", None)
    console = Console(file=io.StringIO(), width=160)
    render_starter(console, starter)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    told = starter.as_dict()
    assert told["tables"] == {"auftraege": "work_orders"}
    for source in told["sources"]:
        assert source["source"] in shown
    assert "steadyline connect" in shown
    assert "time zone" in shown


@settings(max_examples=300)
@given(st.text() | st.sampled_from(["true", "null", "~", "1e5", "2025-01-01", "on", "a: b", "a #b", "@file", "%d", ""]))
def test_text_survives_yaml_whatever_it_is(text: str) -> None:
    text = text.encode("utf-8", "replace").decode("utf-8")
    content = f"{comment(text)}\nkey: {scalar(text)}  {comment(text)}\nflow: {scalar({'a': text, 'b': [text]})}\n"
    read = yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506 (its own text; every scalar stays text)
    assert read == {"key": text, "flow": {"a": text, "b": [text]}}


HEAD = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), min_size=1, max_size=12)
HEADS = st.lists(HEAD, min_size=2, max_size=5, unique_by=lambda t: t.strip())


@settings(max_examples=40, deadline=None)
@given(HEADS, st.sampled_from(["START", "Zeit", "QMDAT"]), st.sampled_from([",", ";", "\t"]))
def test_strange_names_are_a_starter_that_loads_or_says_why_not(heads: list[str], time: str, delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow([time, "BATCH", "ITEM", *heads])
    writer.writerows([f"2025-01-{i:02d} 06:00", f"B{i}", "x", *("y" for _ in heads)] for i in range(1, 20))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_text(out.getvalue(), encoding="utf-8")
        try:
            starter = new_site("x", [path], Path(folder) / "x", "UTC")
        except SteadylineError:
            return
        try:
            load_site(Path(folder) / "x")
        except SiteError:
            assert not starter.loads
            assert any("does not load" in note for note in starter.notes)
        else:
            assert starter.loads
