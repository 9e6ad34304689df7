"""The pages in a real browser: rendered, styled, without an error, and without a request to anybody else."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.running import Service

# Without these Chromium looks for updates and accounts by itself; names it would look up lead nowhere.
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
)


@dataclass(frozen=True)
class Seen:
    """A page after its scripts ran. requests: addresses that the page asked for; console: what it complained of."""

    dom: str
    requests: list[str]
    console: list[str]


Browser = Callable[..., Seen]


@pytest.fixture
def browser(chromium: str, tmp_path: Path) -> Browser:
    def visit(url: str, *flags: str) -> Seen:
        log = tmp_path / "net.json"
        run = subprocess.run(
            [
                chromium, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
                "--virtual-time-budget=10000", *(flags or ("--dump-dom",)), url,
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )
        return Seen(run.stdout, requests(log), re.findall(r"CONSOLE.*", run.stderr))

    return visit


def requests(log: Path) -> list[str]:
    """What a page itself asked for, out of Chromium's own log: the browser's requests have no page as initiator."""
    written = json.loads(log.read_text(encoding="utf-8"))
    started = written["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [e["params"] for e in written["events"] if e["type"] == started and "params" in e]
    return [p["url"] for p in asked if str(p.get("initiator", "")).startswith("http")]


def test_the_page_of_today(service: Service, browser: Browser) -> None:
    scored = {
        kind: service.ask(f"/v1/score/{kind}", {"site": "virtual_dublin"}).json["scores"]
        for kind in ("equipment", "batches")
    }
    seen = browser(f"{service.address}/")
    style, icon = f"{service.address}/steadyline.css", f"{service.address}/icon.svg"
    assert style in seen.requests
    assert set(seen.requests) <= {style, icon}  # the browser asks for the icon when it has the time
    assert seen.console == []
    captions = re.findall(r"<caption>(.*?)</caption>", seen.dom)
    assert len(captions) >= 4
    for subject in (scored["equipment"][0]["equipment_id"], scored["batches"][0]["batch_id"]):
        assert re.search(rf"<th[^>]*>(<a [^>]*>)?{re.escape(subject)}<", seen.dom), subject
    assert "SIMULATED" in seen.dom
    targets = set(re.findall(r'href="#([^"]+)"', seen.dom))
    assert targets <= set(re.findall(r'id="([^"]+)"', seen.dom))  # every link within the page leads somewhere


def test_the_interface_page_runs_under_its_own_policy(service: Service, browser: Browser) -> None:
    seen = browser(f"{service.address}/docs")
    for path in ("/v1/score/equipment", "/v1/score/batches"):
        assert f'data-path="{path}"' in seen.dom
    assert f"{service.address}/docs.json" in seen.requests
    assert [url for url in seen.requests if not url.startswith((f"{service.address}/", "data:"))] == []
    assert seen.console == []


@pytest.mark.parametrize("width", [800, 1400])
def test_a_picture_can_be_taken(service: Service, browser: Browser, tmp_path: Path, width: int) -> None:
    picture = tmp_path / "page.png"
    browser(f"{service.address}/", f"--window-size={width},1200", f"--screenshot={picture}")
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (width, 1200)
    assert len(data) > 20_000  # an empty page is smaller


def test_print(service: Service, browser: Browser, tmp_path: Path) -> None:
    paper = tmp_path / "page.pdf"
    browser(f"{service.address}/", f"--print-to-pdf={paper}")
    assert paper.read_bytes()[:5] == b"%PDF-"


def test_the_review_of_a_batch(service: Service, browser: Browser, tmp_path: Path) -> None:
    service.ask("/v1/score/batches", {"site": "virtual_dublin"})  # the overview shows what was scored
    home = browser(f"{service.address}/")
    link = re.search(r'href="(batches/[^"]+/exceptions[^"]*)"', home.dom)
    assert link, "no batch of the overview leads to its review"
    address = f"{service.address}/{link[1].replace('&amp;', '&')}"
    seen = browser(address)
    assert seen.console == []
    assert set(seen.requests) <= {f"{service.address}/steadyline.css", f"{service.address}/icon.svg"}
    assert "What was checked" in seen.dom
    assert seen.dom.count("<form") == seen.dom.count("Agree</button>")
    labels = re.findall(r"<input(?![^>]*hidden)", seen.dom)
    assert len(re.findall(r"<label>[^<]*<input", seen.dom)) == len(labels)  # every field says what it is for
    picture, paper = tmp_path / "review.png", tmp_path / "review.pdf"
    browser(address, "--window-size=1000,1400", f"--screenshot={picture}")
    assert len(picture.read_bytes()) > 20_000
    browser(address, f"--print-to-pdf={paper}")
    assert paper.read_bytes()[:5] == b"%PDF-"


def test_a_batch_against_the_golden_batch(service: Service, browser: Browser, tmp_path: Path) -> None:
    # of the tiny plant's last batches of each product, the first with an envelope
    for n in range(60, 30, -1):
        path = f"/batches/B25000{n}/golden"
        told = service.ask(f"/v1{path}")
        if told.status == 200 and any(s["references"]["enough"] and s["signals"] for s in told.json["steps"]):
            break
    else:
        pytest.fail("no batch has an envelope")
    seen = browser(f"{service.address}{path}")
    assert seen.console == []
    assert set(seen.requests) <= {f"{service.address}/steadyline.css", f"{service.address}/icon.svg"}
    assert seen.dom.count("<svg") == seen.dom.count("<figcaption") > 0
    assert "SIMULATED" in seen.dom
    picture, paper = tmp_path / "golden.png", tmp_path / "golden.pdf"
    browser(f"{service.address}{path}", "--window-size=1000,1400", f"--screenshot={picture}")
    assert len(picture.read_bytes()) > 20_000
    browser(f"{service.address}{path}", f"--print-to-pdf={paper}")
    assert paper.read_bytes()[:5] == b"%PDF-"
