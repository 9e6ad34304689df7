"""The service as a user meets it: over HTTP, in a process of its own, with everything that calls out cut off."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from governance.database import DATABASE_URL, connect
from tests.serving.world import World

ROOT = Path(__file__).parents[2]
# Any connection to another machine is an error there, the service's own telemetry included
START = """
import socket, sys
from pathlib import Path
reach = socket.socket.connect
def only_here(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
        print("CALLS OUT", address, flush=True)
        raise OSError("no network")
    return reach(self, address)
socket.socket.connect = only_here
from serving.serve import run
run(Path(sys.argv[1]), [Path(sys.argv[2])], port=int(sys.argv[3]))
"""


class Client:
    """Asks the service; an error's body is an answer too."""

    def __init__(self, address: str):
        self.address = address

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, str, dict[str, str]]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.address + path, data, {**kind, **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), dict(error.headers)


@pytest.fixture(scope="module")
def client(built: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("service")
    home = folder / "home"
    shutil.copytree(built.home, home)
    world = replace(built, home=home, engine=connect(home))
    world.promote("press_failures")
    world.engine.dispose()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k not in (DATABASE_URL, "STEADYLINE_SITES")}
    (folder / "temporary").mkdir()
    environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder), "TMPDIR": str(folder / "temporary")}
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(home), str(built.folder), str(port)], cwd=folder, env=environment,
        stdout=log, stderr=subprocess.STDOUT,
    )
    try:
        client = Client(f"http://127.0.0.1:{port}")
        wait_for(client, process, folder / "log")
        yield client
        process.terminate()
        assert process.wait(20) in (0, -15, 143)
        text = (folder / "log").read_text()
        assert "CALLS OUT" not in text
        assert "Traceback" not in text
        assert not (folder / "bentoml").exists()  # nothing is left in the user's home
        assert not list((folder / "temporary").glob("steadyline-*"))
    finally:
        process.kill()
        process.wait()
        log.close()


def wait_for(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if client.ask("/livez")[0] == 200:
                return
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(f"the service did not start: {log.read_text()}")


def test_alive_ready_and_measured(client: Client) -> None:
    assert [client.ask(path)[0] for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]


def test_a_score(client: Client) -> None:
    status, text, _ = client.ask("/v1/score/equipment", {"site": "dublin", "equipment_ids": ["press-1"]})
    assert status == 200
    score = json.loads(text)["scores"][0]
    assert (score["equipment_id"], score["model"], score["role"]) == ("press-1", "press_failures", "champion")
    same = client.ask("/v1/score/equipment", {
        "site": "dublin", "model": "press_failures", "equipment_ids": ["press-1"], "as_of": score["as_of"],
    })
    assert json.loads(same[1])["scores"][0]["risks"] == score["risks"]


@pytest.mark.parametrize(("path", "body", "status", "code"), [
    ("equipment", {"site": "dublin", "equipment_ids": ["press-9"]}, 404, "unknown_equipment"),
    ("equipment", {"site": "cork"}, 404, "unknown_site"),
    ("equipment", {"site": "dublin", "model": "none"}, 404, "unknown_model"),
    ("equipment", {"site": "dublin", "as_of": "2026-02-20T06:00:00"}, 422, "naive_time"),
    ("equipment", {"site": "dublin", "equipmnt_ids": ["press-1"]}, 422, "invalid_request"),
    ("equipment", {"site": "dublin", "equipment_ids": []}, 422, "invalid_request"),
    ("equipment", {}, 422, "invalid_request"),
    ("equipment", b"{not json", 422, "invalid_request"),
    ("equipment", [], 422, "invalid_request"),
    ("batches", {"site": "dublin"}, 409, "no_champion"),
    ("nothing", {}, 404, "unknown_route"),
])
def test_refusals(client: Client, path: str, body: Any, status: int, code: str) -> None:
    found, text, headers = client.ask(f"/v1/score/{path}", body)
    problem = json.loads(text)
    assert (found, problem["code"]) == (status, code)
    assert problem.keys() >= {"code", "found", "allowed", "hint"}
    assert headers["content-type"] == "application/json"


def test_only_json_is_taken(client: Client) -> None:
    status, text, _ = client.ask("/v1/score/equipment", b"site=dublin", **{"Content-Type": "text/plain"})
    assert (status, json.loads(text)["code"]) == (415, "wrong_media_type")


def test_pages(client: Client) -> None:
    status, page, headers = client.ask("/")
    assert status == 200
    assert "SIMULATED" in page
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert client.ask("/steadyline.css")[0] == 200
    for part in ("docs.js", "static_content/swagger-ui.css", "static_content/swagger-ui-bundle.js"):
        assert client.ask(f"/{part}")[0] == 200
    assert "googletagmanager" not in client.ask("/docs")[1]


def test_the_interface_is_described(client: Client) -> None:
    document = json.loads(client.ask("/docs.json")[1])
    assert {"/v1/score/equipment", "/v1/score/batches", "/livez", "/readyz"} <= document["paths"].keys()
    responses = document["paths"]["/v1/score/equipment"]["post"]["responses"]
    assert {"200", "404", "409", "422"} <= responses.keys()
    assert "http" not in json.dumps(document["info"])


def test_a_foreign_host_name_is_refused(client: Client) -> None:
    assert client.ask("/", Host="plant.example")[0] == 400
