"""The service under load over real HTTP: throughput, waiting, fairness, right answers.

    python -m bench.serve [--pack embedded] [--threads 2] [--seconds 20] [--write FILE]

The service runs in a process of its own. Closed loop: so many clients, each with one connection,
each asking again when it has its answer, with photographs of 1080p, 4 and 12 megapixels in turn.
Open loop: requests arrive at random (Poisson) at a share of the closed loop's best throughput,
whether or not earlier ones are answered; what is slow then shows as waiting. Every answer is
compared with what the service said of the same photograph before the load.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import httpx2
import numpy as np

from app.data_folder import serving
from bench.photographs import SIZES, photographs
from bench.processes import memory
from bench.report import circumstances, parser_of, publish, table

CONCURRENCY = (1, 4, 16, 64)
OPEN_SHARES = (0.5, 0.8)
SCENES = ("scene-1.jpg", "scene-4.jpg")
HOST = "127.0.0.1"
START_SECONDS = 120.0
# Batches of other sizes round differently.
SAME_PIXELS = 0.5


@dataclass
class Load:
    """What came of a load: seconds of each good answer, statuses of the others, wrong answers."""

    seconds: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    wrong: int = 0
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.seconds) / self.elapsed

    def row(self, name: str) -> list[str]:
        milliseconds = np.asarray(self.seconds) * 1000
        middle, high, most = np.quantile(milliseconds, (0.5, 0.99, 1.0))
        return [
            name,
            f"{self.rate:.1f}",
            f"{middle:.0f}",
            f"{high:.0f}",
            f"{most:.0f}",
            str(len(self.refused)),
            str(self.wrong),
        ]


class Connection:
    """A kept-alive connection that speaks just enough HTTP/1.1 to cost the cores nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of the answer to the bytes of a request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        # An answer without content has no length.
        length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        body = await reader.readexactly(int(length or 0))
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def post(path: str, body: bytes, kind: str = "image/jpeg", method: str = "POST") -> bytes:
    """The bytes of a request."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def told(answer: bytes) -> list[tuple[str | None, list[float]]]:
    """What an answer says: product and corners of each result, by place."""
    results: list[dict[str, Any]] = json.loads(answer)["results"]
    said = [
        (
            (result["product"] or {}).get("id"),
            [result["box"][side] for side in sorted(result["box"])],
        )
        for result in results
    ]
    return sorted(said, key=lambda one: one[1])


def agrees(answer: bytes, expected: bytes) -> bool:
    """Whether two answers name the same products in the same places."""
    pairs = list(zip(told(answer), told(expected), strict=False))
    return len(told(answer)) == len(told(expected)) and all(
        a == b and max(abs(x - y) for x, y in zip(p, q, strict=True)) <= SAME_PIXELS
        for (a, p), (b, q) in pairs
    )


async def closed(
    port: int, requests: Sequence[bytes], truth: Sequence[bytes], clients: int, seconds: float
) -> Load:
    """`clients` ask for `seconds`, each again as soon as it has its answer."""
    load = Load()
    start = perf_counter()

    async def client(first: int) -> None:
        connection = Connection(port)
        turn = first
        while perf_counter() - start < seconds:
            await _ask(connection, requests, truth, turn, perf_counter(), load)
            turn += 1
        connection.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    load.elapsed = perf_counter() - start
    return load


async def opened(
    port: int, requests: Sequence[bytes], truth: Sequence[bytes], rate: float, seconds: float
) -> Load:
    """Requests arrive at random, `rate` a second; the time counts from when each was due."""
    load = Load()
    rng = np.random.default_rng(3)
    due = np.cumsum(rng.exponential(1 / rate, max(1, round(rate * seconds))))
    free: list[Connection] = []
    start = perf_counter()

    async def send(turn: int, when: float) -> None:
        await asyncio.sleep(max(0.0, start + when - perf_counter()))
        connection = free.pop() if free else Connection(port)
        await _ask(connection, requests, truth, turn, start + when, load)
        free.append(connection)

    await asyncio.gather(*(send(turn, when) for turn, when in enumerate(due.tolist())))
    load.elapsed = perf_counter() - start
    for connection in free:
        connection.close()
    return load


async def _ask(
    connection: Connection,
    requests: Sequence[bytes],
    truth: Sequence[bytes],
    turn: int,
    since: float,
    load: Load,
) -> None:
    number = turn % len(requests)
    status, body = await connection.ask(requests[number])
    if status != 200:
        load.refused.append(status)
        return
    load.seconds.append(perf_counter() - since)
    load.wrong += not agrees(body, truth[number])


@contextmanager
def service(
    folder: Path,
    pack: str,
    threads: int,
    cores: set[int] | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[tuple[int, int]]:
    """The service of a data folder in a process of its own, ready; yields port and process id.

    `cores`: the only ones that it may use, all unless given. `more`: further settings.
    """
    settings = {
        **(more or {}),
        "TILLSIGHT_DATA_DIR": str(folder),
        "TILLSIGHT_PACK": pack,
        "TILLSIGHT_THREADS": str(threads),
        "TILLSIGHT_PORT": "0",
        "TILLSIGHT_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "app.cli", "serve"]
    with subprocess.Popen(command, env=os.environ | settings) as process:
        # The interpreter has not started yet: every thread will have it from here.
        os.sched_setaffinity(process.pid, cores or os.sched_getaffinity(0))
        try:
            yield ready(folder, process), process.pid
        finally:
            process.terminate()


def ready(data: Path, process: subprocess.Popen[bytes]) -> int:
    """The port of a data folder's service, once it is ready.

    Raises:
        RuntimeError: it has ended, or takes too long.
    """
    deadline = perf_counter() + START_SECONDS
    while process.poll() is None and perf_counter() < deadline:
        found = serving(data)
        try:
            if found and httpx2.get(f"{found.url}/readyz", trust_env=False).is_success:
                return int(found.url.rpartition(":")[2])
        except httpx2.TransportError:
            pass  # announced, but not listening yet
        sleep(0.1)
    raise RuntimeError(f"The service did not start; its status is {process.returncode}.")


async def measure(port: int, pid: int, seconds: float) -> tuple[list[list[str]], float]:
    """The rows of all loads, and the throughput of one client."""
    photos = photographs(list(SIZES), SCENES)
    requests = [post("/recognize", photo.jpeg) for photo in photos]
    connection = Connection(port)
    truth = [(await connection.ask(request))[1] for request in requests]
    connection.close()
    rows, rates = [], []
    for clients in CONCURRENCY:
        load = await closed(port, requests, truth, clients, seconds)
        rates.append(load.rate)
        rows.append([*load.row(f"closed, {clients} at once"), f"{sum(memory(pid)):.0f}"])
    for share in OPEN_SHARES:
        rate = share * max(rates)
        load = await opened(port, requests, truth, rate, seconds)
        name = f"open, {rate:.1f} a second ({share:.0%} of the best)"
        rows.append([*load.row(name), f"{sum(memory(pid)):.0f}"])
    return rows, rates[0]


def main() -> None:
    parser = parser_of(__doc__, "pack name", "threads")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder), options.pack, options.threads) as (port, pid),
    ):
        rows, single = asyncio.run(measure(port, pid, options.seconds))
    header = ("load", "answers/s", "median ms", "99 %", "longest", "refused", "wrong", "RSS MB")
    text = (
        f"## Under load\n\n`python -m bench.serve`: `/recognize` over HTTP, {', '.join(SIZES)} in "
        f"turn, {options.threads} threads, pack `{options.pack}`, {options.seconds:g} s each; the "
        f"load is made on the same cores. One client alone gets {single:.1f} answers a second. "
        f"*Wrong*: answers that are not those of their photograph. {circumstances()}\n\n"
        f"{table(header, rows)}"
    )
    publish(options.write, "load", text)


if __name__ == "__main__":
    main()
