"""Nothing calls out: the whole circle runs where there is no network, and no process even tries.

Two locks. Every Python process reports and refuses a connection or a name lookup that leaves this machine
(`offline/sitecustomize.py`), libraries' telemetry included. Where the system lets us, all of it also runs in a network
namespace that holds nothing but loopback, which binds compiled code too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import environment

OFFLINE = Path(__file__).with_name("offline")
# Telemetry keeps quiet by itself where it believes that it is tested, or where the user's shell asked it to.
HIDES_TELEMETRY = (
    "DO_NOT_TRACK", "BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "CI", "GITHUB_ACTIONS", "GITLAB_CI",
    "CIRCLECI", "JENKINS_URL", "TRAVIS", "TF_BUILD", "BUILDKITE", "TEAMCITY_VERSION", "PYTEST_CURRENT_TEST",
    "PYTEST_VERSION",
)


class Guard:
    """An environment in which processes are watched, and what they tried."""

    def __init__(self, folder: Path):
        self.calls = folder / "calls"
        kept = {name: value for name, value in environment(folder / "home").items() if name not in HIDES_TELEMETRY}
        path = os.pathsep.join([str(OFFLINE), kept["PYTHONPATH"]])
        self.environment = kept | {"PYTHONPATH": path, "STEADYLINE_TEST_CALLS": str(self.calls)}

    def tried(self) -> list[str]:
        return self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []

    def watched(self) -> list[str]:
        return Path(f"{self.calls}.guarded").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return Guard(tmp_path)


def namespace() -> list[str]:
    """A command prefix that leaves only loopback; empty where the system does not allow it."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix
    return []


@pytest.mark.parametrize("call", [
    "socket.create_connection(('192.0.2.1', 443), 1)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53))",
    "socket.getaddrinfo('plant.example', 443)",
    "socket.gethostbyname('plant.example')",
    "urllib.request.urlopen('http://plant.example/')",
])
def test_the_guard_sees_who_calls_out(call: str, guard: Guard) -> None:
    code = f"import socket, urllib.request\ntry:\n    {call}\nexcept OSError:\n    pass"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=guard.environment, check=True)
    assert guard.tried(), "not seen"


def test_the_guard_lets_this_machine_talk_to_itself(guard: Guard) -> None:
    code = (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\nsocket.getaddrinfo('localhost', 80)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=guard.environment, check=True)
    assert guard.tried() == []


def test_the_whole_circle_calls_nobody(guard: Guard, tiny_exports: Path, tiny_site: Path) -> None:
    prefix = namespace()
    more = {"STEADYLINE_TEST_NAMESPACE": "1"} if prefix else {}
    run = subprocess.run(
        [*prefix, sys.executable, str(OFFLINE / "job.py"), str(tiny_exports), str(tiny_site)],
        env=guard.environment | more, capture_output=True, text=True,
    )
    assert guard.tried() == [], "something called out"
    assert run.returncode == 0, run.stderr[-4000:] + run.stdout[-2000:]
    assert json.loads(run.stdout.splitlines()[-1]) == {"version": "1", "pages": [200, 200, 200]}
    served = [line for line in guard.watched() if " serve " in line]
    assert served, f"the service was not watched: {guard.watched()}"
