"""The page shows what was stored, names what is simulated, and carries nothing from elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from serving.fleet import Fleet
from serving.orders import order_for
from serving.pages import render_home
from tests.serving.world import FAILURE, PRESSES, SITE, World

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Outline(HTMLParser):
    """Headings, tables without a caption, header cells without a scope, addresses of other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.tables = self.captions = 0
        self.unscoped: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.headings += [tag] if re.fullmatch("h[1-6]", tag) else []
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.unscoped += [tag] if tag == "th" and "scope" not in found else []
        self.addresses += [v for k, v in found.items() if k in ("href", "src") and v and "//" in v]


@pytest.fixture
def fleet(world: World) -> Fleet:
    world.promote("press_failures")
    world.promote("tablet_quality")
    return Fleet(world.home, [world.folder])


def test_a_fresh_service_says_what_to_do(world: World) -> None:
    page = render_home(Fleet(world.home, [world.folder]), NOW)
    assert "steadyline score equipment sites/dublin" in page
    assert "none promoted" in page
    assert "No order is open." in page


def test_today(fleet: Fleet) -> None:
    scorer = fleet.scorer("dublin", "failure")
    scores = scorer.equipment()
    order_for(scorer, scores)
    fleet.scorer("dublin", "quality").batches()
    page = render_home(fleet, NOW)
    asking = sum(score["decision"]["action"] == "open_order" for score in scores)
    assert f"<b>{asking}</b> of {len(PRESSES)} equipment ask for an order" in page
    assert page.count("SIMULATED") == 1
    assert "Dublin &lt;tablets&gt;" in page  # names are text, never markup
    worst = max(scores, key=lambda s: s["risks"][1]["probability"])
    assert min(PRESSES, key=page.index) == worst["equipment_id"]
    for text in (
        "dublin-00001", "after compression", "dissolution", "at least 86", "open an order", "dublin@1",
        "No row is in quarantine.", "AUC 0.912 within 72h (base rate 0.5)", "7 of 9 failures caught, 2 false alarms",
        "GMT (", " UTC)", scores[0]["bundle_sha256"][:12],
    ):
        assert text in page, text


def test_the_page_is_accessible_and_closed(fleet: Fleet) -> None:
    fleet.scorer("dublin", "failure").equipment()
    fleet.scorer("dublin", "quality").batches()
    outline = Outline()
    outline.feed(render_home(fleet, NOW))
    assert outline.headings[:2] == ["h1", "h2"]
    assert set(outline.headings[2:]) == {"h3"}
    assert outline.tables == outline.captions > 0
    assert outline.unscoped == []
    assert outline.addresses == []


def test_a_look_back_does_not_change_the_page(fleet: Fleet) -> None:
    scorer = fleet.scorer("dublin", "failure")
    scorer.equipment()
    before = render_home(fleet, NOW)
    scorer.equipment(["press-1"], datetime(2026, 2, 1, tzinfo=UTC))
    assert render_home(fleet, NOW) == before


def test_several_sites_are_listed(world: World, tmp_path: Path) -> None:
    other = tmp_path / "sites" / "graz"
    (other / "models").mkdir(parents=True)
    (other / "site.yaml").write_text(yaml.safe_dump({**SITE, "site": "graz", "title": "Graz", "simulated": False}))
    (other / "models" / "m.yaml").write_text(yaml.safe_dump(FAILURE))
    page = render_home(Fleet(world.home, [world.folder, other]), NOW)
    assert '<a href="#graz">Graz</a>' in page
    assert "Nothing is connected" in page
    assert "never trained" in page
    assert page.count("SIMULATED") == 1
