"""The service in a process of its own, started as a user starts it, and a client that takes errors as answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, str(ROOT / "steadyline.py"))


@dataclass(frozen=True)
class Answer:
    """Status, body and headers (names in lower case) of a response."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Service:
    """A running service. address: base URL, without a slash at its end; log: file with what it printed."""

    address: str
    home: Path
    log: Path

    def ask(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """GET, or POST when there is a body; JSON is made of a body that is no bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self.address + path, data, {**kind, **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return _answer(answer.status, answer)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error)


def _answer(status: int, response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status, response.read().decode(), headers)


def environment(home: Path) -> dict[str, str]:
    """The environment of a command that keeps its state in `home`, and nothing in the user's."""
    unwanted = ("STEADYLINE_SITES", "STEADYLINE_ALLOWED_HOSTS", "STEADYLINE_DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | {"STEADYLINE_HOME": str(home), "HOME": str(home.parent), "PYTHONPATH": path}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(
    home: Path, sites: Sequence[Path], command: Sequence[str] = COMMAND, more: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Start `steadyline serve` for `home`, wait until it is ready, stop it afterwards.

    command: what stands before `serve`; more: further environment variables.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="steadyline-service-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "serve", *map(str, sites), "--port", str(port)], cwd=ROOT,
                env=environment(home) | dict(more or {}), stdout=output, stderr=subprocess.STDOUT,
            )
            try:
                service = Service(f"http://127.0.0.1:{port}", home, log)
                _wait(service, process)
                yield service
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(service: Service, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"the service ended by itself ({process.returncode}):\n{service.log.read_text()}")
        try:
            if service.ask("/readyz").status == 200:
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"the service did not become ready:\n{service.log.read_text()}")
