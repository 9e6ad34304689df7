"""The readiness page: self-contained, escaped, readable without colour; whole in a browser."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from plant import svg
from plant.readiness import Finding, Readiness, readiness
from plant.readiness_page import page
from plant.site import Site
from plant.snapshot import Frames
from tests.plant.small_plant import Tables, small_plant, small_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return small_site(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def tables() -> Tables:
    plant = small_plant(5)
    return plant | {"readings": plant["readings"].iloc[::20]}


@pytest.fixture(scope="module")
def report(site: Site, tables: Tables) -> Readiness:
    return readiness(site, Frames(tables), {}, {})


class Reader(HTMLParser):
    """Collects tags and text, and refuses what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "line", "rect", "path", "circle"):
            self.open.append(tag)
        elif tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_the_page_needs_nothing_but_itself(site: Site, tables: Tables, report: Readiness) -> None:
    html = page(report, site, Frames(tables))
    seen = read(html)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in seen.tags}
    assert not re.search(r"(?:src|href)=.(?!#)|url\((?!#)|@import", html)
    assert "SIMULATED" not in html
    drawings = [a for tag, a in seen.tags if tag == "svg"]
    assert len(drawings) >= 4
    ids = {a["id"] for _, a in seen.tags if a.get("id")}
    for drawing in drawings:
        assert set(str(drawing["aria-labelledby"]).split()) <= ids
    for link in [a["href"] for tag, a in seen.tags if tag == "a"]:
        assert str(link).removeprefix("#") in ids
    words = " ".join(seen.words)
    for expected in ("failure risk", "recommended actions", "UTC", "Europe/Berlin", "CEST", "work_orders"):
        assert expected in words
    assert json.loads(json.dumps(report.as_dict()))["tasks"]["quality risk"]["status"] == "limited"


def test_nothing_of_the_data_is_taken_for_html(site: Site, tables: Tables) -> None:
    evil = "<script>alert('&')</script>"
    finding = Finding("orphans", "high", evil, 1, evil, [evil], [evil])
    tasks = {
        "failure risk": {"status": "limited", "reasons": [evil], "weakened_by": [], "uses": [evil], "lacks": [evil]}
    }
    clocks = [
        {"systems": [evil, evil], "moments": evil, "offset_min": 7.0, "spread_min": 1.0, "matched": 9, "share": 1.0}
    ]
    coverage = {
        "tables": {evil: {"rows": 1, "quarantined": 1, "systems": [evil], "per_period": [1]}},
        "readings_of_equipment": {evil: [3]},
        "periods": ["2024-01-01 00:00 UTC", "2024-01-02 00:00 UTC"],
    }
    odd = dataclasses.replace(site, title=evil, simulated=True, assumptions=(evil,))
    html = page(Readiness([finding], coverage, clocks, tasks), odd, Frames(tables, evil))
    assert "<script" not in html
    read(html)
    assert "(SIMULATED)</title>" in html


def test_a_site_without_any_row(site: Site) -> None:
    empty = readiness(site, Frames({}), {}, {})
    assert {t["status"] for t in empty.tasks.values()} == {"not possible"}
    assert "no row with a time" in page(empty, site, Frames({}))


def test_a_number_is_written_beside_each_colour() -> None:
    assert "12 " in svg.tally([("high", 12)], "t", "d").replace("<", " ")
    drawn = svg.offsets([("a against b", 7.0, 1.0, True), ("c", 0.1, 0.1, False)], "min", "t", "d")
    assert "+7.0" in drawn
    assert (drawn.count("<path"), drawn.count("<circle")) == (1, 1)
    bars = svg.bars([("events", 100, 3)], "t", "d", ("rows", "in quarantine"))
    assert "100 + 3 in quarantine (2.9 %)" in bars
    assert "pattern" in bars


@pytest.mark.parametrize("width", [800, 1280])
def test_in_a_browser(site: Site, tables: Tables, report: Readiness, chromium: str, tmp_path: Path, width: int) -> None:
    path = tmp_path / "readiness.html"
    path.write_text(page(report, site, Frames(tables)), encoding="utf-8")
    shot = tmp_path / "shot.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
             "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    run = subprocess.run(
        [chromium, *flags, f"--window-size={width},2000", f"--screenshot={shot}", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in run.stderr
    assert shot.stat().st_size > 40_000
