"""Scores over HTTP, one kept-alive connection: how long a caller waits, and how many requests go through."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import main_job
from benchmarks.figures import COMMAND, ROOT, Figure, environment, main

SITE, EQUIPMENT = "virtual_dublin", "press-1"
LIMIT_MS = 10.0
REQUESTS, WARMUP, CLIENTS = 400, 20, 4


class Caller:
    """One connection that stays open, as a CMMS would keep it."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str, question: dict[str, Any]) -> list[dict[str, Any]]:
        self.connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != http.client.OK:
            sys.exit(f"{path} answered {answer.status}: {body.decode()}")
        return json.loads(body)["scores"]

    def timed(self, path: str, questions: list[dict[str, Any]]) -> list[float]:
        """Milliseconds of each question, after a few that do not count."""
        spent = []
        for question in questions:
            begin = time.perf_counter()
            self.ask(path, question)
            spent.append((time.perf_counter() - begin) * 1000)
        return spent[WARMUP:]


@contextmanager
def serving(home: Path) -> Iterator[int]:
    """The service of `home` on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [*COMMAND, "serve", f"sites/{SITE}", "--port", str(port)], cwd=ROOT, env=environment(home),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 120
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > until:
                sys.exit("the service did not start")
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def measure(home: Path) -> list[Figure]:
    """Figures of the service of a home in which the demo has run."""
    with serving(home) as port:
        caller, path = Caller(port), "/v1/score/equipment"
        now = {"site": SITE, "equipment_ids": [EQUIPMENT]}
        end = datetime.fromisoformat(caller.ask(path, now)[0]["data_end"])
        # a time that nobody asked about before: the feature row is made for this request
        past = [now | {"as_of": (end - timedelta(minutes=37 * n)).isoformat()} for n in range(1, REQUESTS + WARMUP + 1)]
        fresh = caller.timed(path, past)
        known = caller.timed(path, [now] * (REQUESTS + WARMUP))
        fleet = caller.timed(path, [{"site": SITE}] * (WARMUP + 20))
        batch = {"site": SITE, "batch_ids": [caller.ask("/v1/score/batches", {"site": SITE})[0]["batch_id"]]}
        batches = caller.timed("/v1/score/batches", [batch] * (WARMUP + 100))
        rate = _rate(port, path, now)
    return [
        *_told("one equipment, new time", fresh, LIMIT_MS),
        *_told("one equipment, time asked before", known, LIMIT_MS),
        *_told("all equipment of the model", fleet, None),
        *_told("one batch", batches, None),
        Figure(f"requests a second, {CLIENTS} clients, one equipment", rate, "/s"),
    ]


def _told(what: str, spent: list[float], limit: float | None) -> list[Figure]:
    return [
        Figure(f"{what}, median", statistics.median(spent), "ms", limit),
        Figure(f"{what}, 95 % within", statistics.quantiles(spent, n=20)[18], "ms"),
    ]


def _rate(port: int, path: str, question: dict[str, Any], seconds: float = 3.0) -> float:
    counts: list[int] = []

    def work() -> None:
        caller, count = Caller(port), 0
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            caller.ask(path, question)
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:

        def of_home(given: str | None) -> list[Figure]:
            home = Path(given) if given else Path(folder) / "home"
            if not given:
                main_job.measure(home)
            return measure(home)

        main(lambda arguments: of_home(arguments.home), __doc__, ("--home", "where the demo has run; default: run it"))
