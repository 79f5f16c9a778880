"""Three replicas behind nginx on one machine: one is killed under load, then all are replaced.

    python -m bench.replicas WORK [--write docs/benchmarks.md]

The proxy's configuration is deploy/nginx-cluster.conf with addresses of this machine (Debian:
nginx-light); pictures are on an S3 server. Clients ask `/recognize` again as soon as they are
answered, and offices enrol one picture after another; whoever is refused or cut off asks once
more, as a till would. In the end all that was acknowledged must be there, vectors and pictures.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import perf_counter

import httpx2
import numpy as np
import simplejpeg

from bench.local_server import free_ports
from bench.milvus_server import MilvusServer
from bench.object_server import ObjectServer
from bench.report import circumstances, parser_of, publish, table
from bench.serve import ready
from gallery.opening import read_contents

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "app" / "samples" / "references"
REPLICAS = 3
CLIENTS = 6
OFFICES = 3
PRODUCTS = 5
# The product to which pictures are added under load.
NEW = "new"
STEADY_SECONDS = 15.0
# Until nginx has found one that is back, and that one has taken over the writing.
SETTLE_SECONDS = 10.0


@dataclass
class Load:
    """Seconds of each answer; what failed, and what failed again when it was sent once more."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    failed_again: list[str] = field(default_factory=list)
    elapsed: float = 0.0

    def row(self, name: str) -> list[str]:
        milliseconds = np.asarray(self.seconds) * 1000
        return [
            name,
            f"{len(self.seconds) / self.elapsed:.1f}",
            f"{np.median(milliseconds):.0f}",
            f"{np.quantile(milliseconds, 0.99):.0f}",
            f"{len(self.seconds):,}",
            str(len(self.failed)),
            str(len(self.failed_again)),
        ]


class Replica:
    """A `tillsight serve` of this machine, always on the same port."""

    def __init__(self, folder: Path, port: int, gallery: str, pictures: str) -> None:
        self.port = port
        self._folder = folder
        self._log = folder / "service.log"
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = os.environ | {
            "TILLSIGHT_DATA_DIR": str(folder / "data"),
            "TILLSIGHT_PORT": str(port),
            "TILLSIGHT_GALLERY_URL": gallery,
            "TILLSIGHT_GALLERY_PICTURES": pictures,
            "TILLSIGHT_THREADS": "1",
            "TILLSIGHT_KEEP_PHOTOGRAPHS": "0",
        }
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        try:
            ready(self._folder / "data", self._process)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self._log.read_text()[-2000:]}") from error

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)


@contextmanager
def proxied(folder: Path, ports: list[int]) -> Iterator[str]:
    """The address of nginx before services on these ports."""
    (door,) = free_ports(1)
    text = (ROOT / "deploy" / "nginx-cluster.conf").read_text()
    for number, port in enumerate(ports, start=1):
        text = text.replace(f"tillsight-{number}:8000", f"127.0.0.1:{port}")
    text = text.replace("listen 8000;", f"listen 127.0.0.1:{door};")
    # The container's own, of which nobody else knows; here it is the bench's folder.
    text = text.replace("/tmp/", f"{folder}/")  # noqa: S108
    text = text.replace("worker_processes auto;", "worker_processes 1;\ndaemon off;")
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    nginx = subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)])
    try:
        yield f"http://127.0.0.1:{door}"
    finally:
        nginx.terminate()
        nginx.wait()


# One request; what went wrong.
Ask = Callable[[httpx2.Client], str | None]


@contextmanager
def loaded(url: str, asks: list[Ask]) -> Iterator[Load]:
    """A client for each of `asks`, which asks again and again for as long as this lasts."""
    load, done = Load(), Event()

    def run(ask: Ask) -> None:
        with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
            while not done.is_set():
                start = perf_counter()
                if fault := ask(client):
                    load.failed.append(fault)
                    if fault := ask(client):
                        load.failed_again.append(fault)
                        continue
                load.seconds.append(perf_counter() - start)

    start = perf_counter()
    with ThreadPoolExecutor(len(asks)) as threads:
        running = [threads.submit(run, ask) for ask in asks]
        try:
            yield load
        finally:
            done.set()
    for client in running:
        client.result()
    load.elapsed = perf_counter() - start


def posted(client: httpx2.Client, path: str, picture: bytes) -> httpx2.Response | str:
    """The answer, or what went wrong."""
    try:
        answer = client.post(path, content=picture, headers={"Content-Type": "image/jpeg"})
    except httpx2.TransportError as error:
        return type(error).__name__
    return answer if answer.is_success else str(answer.status_code)


class Till:
    """Asks what is on its photographs."""

    def __init__(self, photographs: list[bytes], first: int) -> None:
        self._photographs = photographs
        self._number = first

    def __call__(self, client: httpx2.Client) -> str | None:
        photograph = self._photographs[self._number % len(self._photographs)]
        self._number += 1
        answer = posted(client, "/recognize", photograph)
        return answer if isinstance(answer, str) else None


class Office:
    """Enrols one picture after another, each another one; knows those that were acknowledged."""

    def __init__(self, number: int) -> None:
        self.acknowledged: list[str] = []
        self._rng = np.random.default_rng(number)
        self._picture = self._another()

    def _another(self) -> bytes:
        pixels = self._rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return bytes(simplejpeg.encode_jpeg(np.kron(pixels, np.ones((32, 32, 1), np.uint8))))

    def __call__(self, client: httpx2.Client) -> str | None:
        answer = posted(client, f"/gallery/products/{NEW}/images", self._picture)
        if isinstance(answer, str):
            return answer
        self.acknowledged.append(answer.json()["images"][0]["id"])
        self._picture = self._another()
        return None


def enrol(url: str) -> list[bytes]:
    """Some sample products; their pictures."""
    taken = []
    with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
        client.put(f"/gallery/products/{NEW}", json={"name": NEW})
        for folder in sorted(path for path in SAMPLES.iterdir() if path.is_dir())[:PRODUCTS]:
            client.put(f"/gallery/products/{folder.name}", json={"name": folder.name})
            for picture in sorted(folder.glob("*.jpg")):
                taken.append(picture.read_bytes())
                client.post(
                    f"/gallery/products/{folder.name}/images",
                    content=taken[-1],
                    headers={"Content-Type": "image/jpeg"},
                ).raise_for_status()
    return taken


def measured(work: Path) -> tuple[list[list[str]], str]:
    """A row for each load, and what became of what was acknowledged."""
    with ExitStack() as opened:
        gallery = f"{opened.enter_context(MilvusServer(work / 'server')).url}/replicas"
        objects = opened.enter_context(ObjectServer(work / "objects"))
        os.environ.update(objects.environment)
        ports = free_ports(REPLICAS)
        replicas = []
        for number, port in enumerate(ports):
            replica = Replica(work / f"replica-{number}", port, gallery, objects.bucket)
            opened.callback(replica.kill)
            # One after another: the first one makes the collections.
            replica.wait()
            replicas.append(replica)
        url = opened.enter_context(proxied(work, ports))
        photographs = enrol(url)
        tills: list[Ask] = [Till(photographs, number) for number in range(CLIENTS)]
        offices = [Office(number) for number in range(OFFICES)]
        writing: list[Ask] = [*offices]
        with loaded(url, tills) as steady:
            time.sleep(STEADY_SECONDS)
        with loaded(url, tills) as killed:
            time.sleep(STEADY_SECONDS / 3)
            replicas[1].kill()
            time.sleep(STEADY_SECONDS)
        replicas[1].start()
        replicas[1].wait()
        with loaded(url, tills) as rolling, loaded(url, writing) as enrolling:
            for replica in replicas:
                replica.stop()
                replica.start()
                replica.wait()
                time.sleep(SETTLE_SECONDS)
        with loaded(url, tills) as led, loaded(url, writing) as taken_over:
            time.sleep(STEADY_SECONDS / 3)
            # The one that writes.
            replicas[0].kill()
            time.sleep(STEADY_SECONDS)
        with read_contents(gallery, pictures=objects.bucket) as held:
            there = {reference.image.id for reference in held.references()}
    acknowledged = {image for office in offices for image in office.acknowledged}
    lost = acknowledged - there
    rows = [
        steady.row("three replicas"),
        killed.row("one of them killed with `kill -9`"),
        rolling.row("all replaced, one after another, 10 s between"),
        enrolling.row("… offices enrolling meanwhile"),
        led.row("the one that writes killed with `kill -9`"),
        taken_over.row("… offices enrolling meanwhile"),
    ]
    kept = (
        f"Of {len(acknowledged):,} pictures whose enrolment was acknowledged {len(lost)} were not "
        "there in the end, with vectors and picture."
    )
    return rows, kept


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("work", type=Path, help="an empty folder")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows, kept = measured(options.work)
    how = (
        f"`python -m bench.replicas`: {REPLICAS} replicas of one thread each, Milvus, an S3 server "
        f"(Swift) and nginx (`deploy/nginx-cluster.conf`) on one machine, {CLIENTS} clients that "
        "ask `/recognize` with sample pictures again as soon as they are answered, and in the rows "
        f"that say so {OFFICES} that enrol pictures. A request that failed was sent once more. "
        f"{kept} {circumstances()}"
    )
    header = ("load", "a second", "median ms", "p99 ms", "answered", "failed", "failed again")
    found = table(header, rows)
    publish(options.write, "replicas", f"## Replicas\n\n{how}\n\n{found}")


if __name__ == "__main__":
    main()
