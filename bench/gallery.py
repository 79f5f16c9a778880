"""The gallery's figures on clustered vectors: search, changes beside it, restart, memory."""

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from bench.clusters import (
    ASSORTMENTS,
    DIMENSION,
    QUERIES,
    K,
    make,
    nearest_image,
    nearest_products,
    sku,
)
from bench.report import circumstances, parser_of, publish, table
from bench.restart import FINGERPRINT, restarted
from gallery import Gallery, In, NewImage

WRITERS = 16
SINGLE_ADDS = 200
DELETES = 100
RATE = 100.0
LOADED_SECONDS = 10.0
SAY_SECONDS = 30.0
# Beside other searches, only so many additions are searched for.
FOUND_EVERY = 10
# In the folder of a gallery that is kept: the figures of its filling, once that is done.
FILLED = "filled.json"
# As long as a small thumbnail is.
THUMBNAIL = b"\xff\xd8" + bytes(range(256)) * 16 + b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Setting:
    """How many vectors, and from how many on a graph is used."""

    rows: int
    graph_from: int


class Bench:
    """One gallery, filled and measured."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self.folder = folder
        self.setting = setting
        self.rng = np.random.default_rng(7)
        self.clusters = make(setting.rows, self.rng)
        self.serial = 0
        self.found: dict[str, str] = {}
        # Drawn once: searches before, during and after are of the same products.
        self.wanted = self.rng.integers(0, len(self.clusters.centres), QUERIES, dtype=np.int32)
        self.queries = self.clusters.views(self.wanted, self.rng)

    def run(self) -> dict[str, str]:
        """Every measure by name."""
        self.fill_once()
        with self.opened() as gallery:
            self.search(gallery)
            self.filtered(gallery)
            self.add_one_at_a_time(gallery)
            self.delete(gallery)
            self.search_beside_writes(gallery)
        self.restart()
        return self.found

    def note(self, name: str, figure: str) -> None:
        """Said at once: a million rows take half an hour."""
        self.found[name] = figure
        print(f"{self.setting.rows:,}: {name}: {figure}", flush=True)

    @contextmanager
    def said_to_go_on(self, task: str) -> Iterator[None]:
        """Say how long a task has taken so far, while it does: a great graph takes half an hour."""
        start = perf_counter()
        done = threading.Event()

        def say() -> None:
            while not done.wait(SAY_SECONDS):
                seconds = perf_counter() - start
                print(f"{self.setting.rows:,}: {task}: {seconds:.0f} s so far", flush=True)

        with ThreadPoolExecutor(1) as thread:
            thread.submit(say)
            try:
                yield
            finally:
                done.set()

    def opened(self) -> Gallery:
        return Gallery.open(
            self.folder,
            dimension=DIMENSION,
            fingerprint=FINGERPRINT,
            graph_from=self.setting.graph_from,
        )

    def image(self, vector: NDArray[np.float32] | NDArray[np.float16]) -> NewImage:
        self.serial += 1
        digest = hashlib.sha256(str(self.serial).encode()).hexdigest()
        return NewImage(digest, 300, 200, THUMBNAIL, vector[None].astype(np.float32))

    def fill_once(self) -> None:
        """Fill the gallery, unless an earlier run has."""
        filled = self.folder / FILLED
        if filled.exists():
            self.found.update(json.loads(filled.read_text()))
            self.serial = self.setting.rows
        else:
            with self.opened() as gallery:
                self.fill(gallery)
            filled.write_text(json.dumps(self.found))

    def fill(self, gallery: Gallery) -> None:
        def enrol(product: int, images: list[NewImage]) -> None:
            gallery.put_product(sku(product), "a product", {"assortment": product % ASSORTMENTS})
            gallery.add_images(sku(product), images)

        seconds = 0.0
        with ThreadPoolExecutor(WRITERS) as threads, self.said_to_go_on("filling"):
            for part in _parts(self.products(), WRITERS * 64):
                start = perf_counter()
                list(threads.map(lambda item: enrol(*item), part))
                seconds += perf_counter() - start
        self.note(
            "added in batches of 5 to 50, 16 writers, rows/s", _whole(self.setting.rows / seconds)
        )
        start = perf_counter()
        with self.said_to_go_on("building the index"):
            gallery.compact()
        self.note("index built", f"{gallery.stats().index_kind}, {perf_counter() - start:.0f} s")

    def products(self) -> Iterator[tuple[int, list[NewImage]]]:
        ends = np.searchsorted(
            self.clusters.products, np.arange(len(self.clusters.centres)), side="right"
        )
        start = 0
        for product, end in enumerate(ends):
            yield product, [self.image(vector) for vector in self.clusters.vectors[start:end]]
            start = end

    def search(self, gallery: Gallery) -> None:
        times, answers = self.asked(gallery)
        exact = nearest_products(
            self.clusters, np.arange(len(self.clusters.vectors)), self.queries, K
        )
        right = np.mean(
            [answer[0] == sku(p) for answer, p in zip(answers, self.wanted, strict=True)]
        )
        truly = np.mean([rows[0] == p for rows, p in zip(exact, self.wanted, strict=True)])
        same = np.mean(
            [answer == [sku(p) for p in best] for answer, best in zip(answers, exact, strict=True)]
        )
        self.note("search, median / 99 %, ms", _times(times))
        self.note("label accuracy (exact)", f"{right:.3f} ({truly:.3f})")
        self.note("the same five products as exact", f"{same:.3f}")

    def filtered(self, gallery: Gallery) -> None:
        where = In("assortment", (3,))
        start = perf_counter()
        gallery.search(self.queries[:1], K, where)
        first = (perf_counter() - start) * 1000
        times, answers = self.asked(gallery, where)
        exact = nearest_products(
            self.clusters,
            np.flatnonzero(self.clusters.products % ASSORTMENTS == 3),
            self.queries,
            K,
        )
        hits = sum(
            len(set(answer) & {sku(p) for p in best})
            for answer, best in zip(answers, exact, strict=True)
        )
        self.note("filter keeping 1 %: median / 99 %, ms (first)", f"{_times(times)} ({first:.0f})")
        self.note("filter keeping 1 %: recall", f"{hits / sum(map(len, exact)):.4f}")

    def add_one_at_a_time(self, gallery: Gallery) -> None:
        seconds = sum(self.add(gallery) for _ in range(SINGLE_ADDS))
        self.note("added one at a time, rows/s", _whole(SINGLE_ADDS / seconds))

    def add(self, gallery: Gallery, *, find: bool = True) -> float:
        """Add one view of a product and see that it is found; the seconds that adding took."""
        product = self.rng.integers(0, len(self.clusters.centres), 1, dtype=np.int32)
        vector = self.clusters.views(product, self.rng)
        image = self.image(vector[0])
        start = perf_counter()
        (added,) = gallery.add_images(sku(int(product[0])), [image])
        seconds = perf_counter() - start
        if find and nearest_image(gallery, vector) != added.id:
            raise RuntimeError(f"an image that was added was not found: {added.id}")
        return seconds

    def delete(self, gallery: Gallery) -> None:
        times = []
        for _ in range(DELETES):
            vector = self.clusters.views(self.wanted[:1], self.rng)
            (added,) = gallery.add_images(sku(int(self.wanted[0])), [self.image(vector[0])])
            start = perf_counter()
            gallery.delete_image(added.id)
            candidates = gallery.search(vector, K).candidates[0]
            times.append((perf_counter() - start) * 1000)
            if any(candidate.image_id == added.id for candidate in candidates):
                raise RuntimeError(f"an image that was deleted was found: {added.id}")
        self.note("deleted, then searched: median / 99 %, ms", _times(times))

    def search_beside_writes(self, gallery: Gallery) -> None:
        """While images come at a steady rate and a compaction runs again and again."""
        done = threading.Event()
        added = 0

        def write() -> None:
            nonlocal added
            due = perf_counter()
            while not done.is_set():
                self.add(gallery, find=added % FOUND_EVERY == 0)
                added += 1
                due += 1 / RATE
                time.sleep(max(0.0, due - perf_counter()))

        with ThreadPoolExecutor(2) as threads:
            writing = threads.submit(write)
            compacting = threads.submit(_again_and_again, gallery.compact, done)
            times: list[float] = []
            start = perf_counter()
            while perf_counter() - start < LOADED_SECONDS:
                times += self.asked(gallery)[0]
            seconds = perf_counter() - start
            done.set()
            writing.result()
            compacting.result()
        if not gallery.consistent():
            raise RuntimeError("the index does not agree with the database")
        self.note("search beside additions and compactions: median / 99 %, ms", _times(times))
        self.note("… additions, rows/s", _whole(added / seconds))

    def restart(self) -> None:
        for name in ("warm", "cold"):
            measured = restarted(self.folder, self.setting.graph_from, cold=name == "cold")
            self.note(f"restart to the first answer, {name}, s", f"{measured['seconds']:.2f}")
        self.note(
            "memory: own + mapped, MB", f"{measured['own_mb']:.0f} + {measured['mapped_mb']:.0f}"
        )

    def asked(
        self, gallery: Gallery, where: In | None = None
    ) -> tuple[list[float], list[list[str]]]:
        """Milliseconds and product ids of each query, asked one at a time."""
        times, answers = [], []
        for query in self.queries:
            start = perf_counter()
            (candidates,) = gallery.search(query[None], K, where).candidates
            times.append((perf_counter() - start) * 1000)
            answers.append([candidate.product_id for candidate in candidates])
        return times, answers


def _again_and_again(task: Callable[[], None], done: threading.Event) -> None:
    while not done.is_set():
        task()
        done.wait(0.5)


def _parts(
    items: Iterator[tuple[int, list[NewImage]]], size: int
) -> Iterator[list[tuple[int, list[NewImage]]]]:
    part = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    yield part


def _times(milliseconds: list[float]) -> str:
    return f"{np.median(milliseconds):.2f} / {np.percentile(milliseconds, 99):.2f}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("rows", type=int, nargs="+", help="sizes of the galleries")
    parser.add_argument("--graph-from", type=int, default=300_000)
    parser.add_argument("--keep", type=Path, help="folder of filled galleries, used again")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    columns: dict[str, dict[str, str]] = {}
    for rows in options.rows:
        setting = Setting(rows, options.graph_from)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / str(rows)
            if options.keep:
                Bench(options.keep / str(rows), setting).fill_once()
                # What is measured changes it.
                shutil.copytree(options.keep / str(rows), folder)
            columns[f"{rows:,}"] = Bench(folder, setting).run()
        # After each size: the next one takes ten times as long, and may be given up.
        publish(options.write, "gallery", _section(columns, busy))


def _section(columns: dict[str, dict[str, str]], busy: float) -> str:
    names = next(iter(columns.values()))
    body = [(name, *(column[name] for column in columns.values())) for name in names]
    sizes = " ".join(size.replace(",", "") for size in columns)
    how = (
        f"`python -m bench.gallery {sizes}`: {DIMENSION}-d views of products in families, {K} "
        f"products asked for, one query at a time. {circumstances()} "
        f"Load average before: {busy:.1f}."
    )
    return "\n\n".join(("## Gallery", how, table(("vectors", *columns), body)))


if __name__ == "__main__":
    main()
