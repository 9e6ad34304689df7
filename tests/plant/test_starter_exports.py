"""Starters of exports that are not English or German text files: a database, French books, bare historians."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from plant.connect import Connected, connect
from plant.site import load_site
from plant.starter import Starter, new_site
from tests.plant.workshop import adds_up


def start(tmp_path: Path, name: str, text: str, encoding: str = "utf-8") -> Starter:
    exports = tmp_path / "exports"
    exports.mkdir(exist_ok=True)
    (exports / name).write_bytes(text.encode(encoding))
    return new_site("new", [exports], tmp_path / "new", "Europe/Paris")


def connected(tmp_path: Path) -> Connected:
    out = connect(load_site(tmp_path / "new"), tmp_path / "exports", tmp_path / "store")
    assert adds_up(out)
    return out


def test_a_database_is_named_by_its_url_alone(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    db = sqlite3.connect(tmp_path / "exports" / "mes.db")
    db.execute('create table "all stops" (stop_id int, machine text, start text, "end" text, reason text)')
    rows = [(i, f"P{i % 2}", f"2025-01-{i:02d} 06:00", f"2025-01-{i:02d} 07:00", "JAM") for i in range(1, 21)]
    db.executemany('insert into "all stops" values (?, ?, ?, ?, ?)', rows)
    db.commit()
    db.close()
    starter = new_site("new", [tmp_path / "exports"], tmp_path / "new", "Europe/Paris")
    assert starter.loads
    assert "path:" not in (tmp_path / "new" / "site.yaml").read_text(encoding="utf-8")
    assert connected(tmp_path).tables["downtime"].loaded == 20
    walk = (tmp_path / "new" / "crosswalks" / "equipment.csv").read_text(encoding="utf-8")
    assert "10 in all_stops.machine" in walk, "the whole table was counted, not only a sample"


DAYS = [f"{i:02d}/02/2025 06:00" for i in range(1, 29)]
BOOKS = {
    "ot.csv": (
        "work_orders",
        "N° OT;Équipement;Type OT;Date ouverture;Date clôture;Coût;Libellé",
        [f"{4500 + i};PR-0{i % 3};Correctif;{day};;{i},50;Roulement côté {i}" for i, day in enumerate(DAYS)],
        {"work_order_id": "N° OT", "equipment_id": "Équipement", "opened_at": "Date ouverture", "cost": "Coût",
         "closed_at": "Date clôture", "kind": "Type OT", "text": "Libellé"},
    ),
    "lots.csv": (
        "batches",
        "N° lot;Produit;Début;Fin;Taille",
        [f"L{i};Doliprane;{day};{day};1000" for i, day in enumerate(DAYS)],
        {"batch_id": "N° lot", "product": "Produit", "started_at": "Début", "ended_at": "Fin", "size": "Taille"},
    ),
    "mesures.csv": (
        "readings",
        "Étiquette/Tag;Horodatage;Valeur;Qualité",
        [f"PR{i % 2}.{word};{day};{i},5;Bonne" for i, day in enumerate(DAYS) for word in ("FORCE", "VITESSE")],
        {"signal": "Étiquette/Tag", "ts": "Horodatage", "value": "Valeur", "quality": "Qualité"},
    ),
    "arrets.csv": (
        "downtime",
        "N° arrêt;Machine;Début arrêt;Fin;Motif",
        [f"{i};PR-1;{day};{day};Panne" for i, day in enumerate(DAYS)],
        {"downtime_id": "N° arrêt", "equipment_id": "Machine", "started_at": "Début arrêt", "reason": "Motif"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOOKS)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_french_books(name: str, encoding: str, tmp_path: Path) -> None:
    table, heads, rows, columns = BOOKS[name]
    starter = start(tmp_path, name, "\n".join([heads, *rows, ""]), encoding)
    assert list(starter.tables.values()) == [table]
    [item] = load_site(tmp_path / "new").tables[table]
    assert {target: item.columns[target].column for target in columns} == columns
    assert connected(tmp_path).tables[table].loaded == len(rows)


def test_a_tab_is_written_as_people_write_it(tmp_path: Path) -> None:
    start(tmp_path, "lots.csv", "Lot\tProduit\tDébut\n" + "".join(f"L{i}\tX\t{day}\n" for i, day in enumerate(DAYS)))
    assert 'delimiter: "\\t"' in (tmp_path / "new" / "site.yaml").read_text(encoding="utf-8")
    assert load_site(tmp_path / "new").sources["lots"].delimiter == "\t"


@pytest.mark.parametrize(
    "heads", ["tag,epoch,value", "tag,ts_ms,val", "Tag,t,v", "point,epoch_ms,pv", "name,timestamp_ms,value", "tag,ms,x"]
)
def test_tags_counts_since_1970_and_values_are_readings(heads: str, tmp_path: Path) -> None:
    rows = [f"{('PR1.FORCE', 'PR2.SPEED')[i % 2]},{1738390000000 + i * 1000},{i % 7}.25" for i in range(50)]
    starter = start(tmp_path, "export.csv", "\n".join([heads, *rows, ""]))
    assert starter.tables == {"export": "readings"}
    found = connected(tmp_path).snapshot.table("readings")
    assert len(found) == 50
    assert str(found["ts"].min()) == "2025-02-01 06:06:40+00:00"
    assert set(found["equipment_id"]) == {"PR1", "PR2"}


@pytest.mark.parametrize(
    ("heads", "row"),
    [
        ("N° OT;Date ouverture;Durée;Coût", "{n};{day};{i};{i},50"),
        ("Numer zlecenia;Data;Koniec;Koszt;Opis;Kto;Godziny", "{n};{day};{day};{i},50;naprawa {i};Jan;{i}"),
        ("Ref;Date raised;Date done;Price;Words;Who;Hrs", "{n};{day};{day};{i},50;seal {i};Jan;{i}"),
    ],
)
def test_a_book_of_orders_is_no_machine(heads: str, row: str, tmp_path: Path) -> None:
    """Numbers beside several times and words are no signals, whatever the language."""
    rows = [row.format(n=4500 + i, day=day, i=i) for i, day in enumerate(DAYS)]
    assert "readings" not in start(tmp_path, "ot.csv", "\n".join([heads, *rows, ""])).tables.values()


@pytest.mark.parametrize("head", ["ResultNo", "RESULT_NO", "resultno", "Row Id"])
def test_a_number_of_each_row_is_the_key_so_that_a_correction_replaces(head: str, tmp_path: Path) -> None:
    text = f"{head};BatchNo;Test;Result;Sampled;ApprovedAt\n"
    text += "".join(f"{9000 + i};B{i // 4};assay;9{i % 4}.5;{day};{day}\n" for i, day in enumerate(DAYS))
    start(tmp_path, "lims_results.csv", text)
    item = load_site(tmp_path / "new").tables["lab_results"][0]
    assert item.columns["result_id"].column == head
    text = (tmp_path / "new" / "site.yaml").read_text(encoding="utf-8")
    assert "different in each of the 28 rows looked at, so taken as the key" in text
    assert "TODO is it" not in text, "the whole file was looked at"
    assert connected(tmp_path).tables["lab_results"].loaded == len(DAYS)


@pytest.mark.parametrize(("head", "number"), [("ResultNo", "7"), ("Remark", "")])
def test_what_repeats_or_is_named_otherwise_is_no_key(head: str, number: str, tmp_path: Path) -> None:
    text = f"{head};BatchNo;Test;Result;Sampled;ApprovedAt\n"
    text += "".join(f"{number or 9000 + i};B{i // 4};assay;9{i % 4}.5;{day};{day}\n" for i, day in enumerate(DAYS))
    start(tmp_path, "lims_results.csv", text)
    assert load_site(tmp_path / "new").tables["lab_results"][0].columns["result_id"].column == "@content"
