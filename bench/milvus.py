"""The gallery on a real Milvus server, with as many references as asked for.

    python -m bench.milvus WORK [--rows 100000] [--part migration] [--write docs/benchmarks.md]

WORK keeps the galleries and what was measured, so that parts can be measured one after another:
migration there, search, changes, kills of the server, migration back.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from bench.clusters import (
    ASSORTMENTS,
    DIMENSION,
    QUERIES,
    Clusters,
    K,
    make,
    nearest_image,
    nearest_products,
    sku,
)
from bench.milvus_server import MilvusServer
from bench.report import circumstances, parser_of, publish, table
from bench.restart import FINGERPRINT
from gallery import Gallery, GalleryProtocol, GalleryUnavailable, In, NewImage
from gallery.migration import migrate
from gallery.milvus import MilvusGallery
from gallery.objects import FolderObjects
from gallery.opening import read_contents

PARTS = ("there", "search", "changes", "kills", "back")
ASKED = 1000
CHANGES = 30
KILLS = 3
# Before each kill.
ACKNOWLEDGED = 50
KILLED = "written amid kills"


class Bench:
    """A gallery on one machine, and its copy on the server."""

    def __init__(self, work: Path, rows: int) -> None:
        self.work = work
        self.rows = rows
        work.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(7)
        self.clusters: Clusters = make(rows, rng)
        self.wanted = rng.integers(0, len(self.clusters.centres), QUERIES, dtype=np.int32)
        self.queries = self.clusters.views(self.wanted, rng)
        self.figures: dict[str, str] = {}
        if (work / "figures.json").exists():
            self.figures = json.loads((work / "figures.json").read_text())

    def note(self, name: str, figure: str) -> None:
        self.figures[name] = figure
        print(f"{name}: {figure}", flush=True)
        (self.work / "figures.json").write_text(json.dumps(self.figures, indent=1))

    def run(self, parts: list[str]) -> None:
        self.fill()
        steps: dict[str, Callable[[MilvusServer], None]] = {
            "there": self.there,
            "search": self.search,
            "changes": self.changes,
            "kills": self.kills,
            "back": self.back,
        }
        with MilvusServer(self.work / "server") as server:
            for part in parts:
                steps[part](server)

    def here(self) -> Gallery:
        return Gallery.open(self.work / "here", dimension=DIMENSION, fingerprint=FINGERPRINT)

    def opened(self, server: MilvusServer) -> MilvusGallery:
        return MilvusGallery.open(
            server.url,
            pictures=FolderObjects(self.work / "pictures"),
            dimension=DIMENSION,
            fingerprint=FINGERPRINT,
        )

    def fill(self) -> None:
        """The source, once."""
        if (self.work / "filled").exists():
            return
        shutil.rmtree(self.work / "here", ignore_errors=True)
        with self.here() as gallery:
            names, firsts = np.unique(self.clusters.products, return_index=True)
            for product, first, last in zip(names, firsts, [*firsts[1:], self.rows], strict=True):
                name = sku(int(product))
                gallery.put_product(name, name, {"assortment": int(product) % ASSORTMENTS})
                gallery.add_images(name, [self.image(row) for row in range(first, last)])
        (self.work / "filled").touch()

    def image(self, row: int) -> NewImage:
        return _image(row, self.clusters.vectors[row : row + 1])

    def there(self, server: MilvusServer) -> None:
        self.copied("there", f"sqlite:///{self.work / 'here'}", self.opened(server))
        start = perf_counter()
        with closing(MilvusClient(server.url, dedicated=True)) as client:
            # Rows that come last are only indexed once they are sealed.
            client.flush("tillsight_references")
            while client.describe_index("tillsight_references", "vector")["pending_index_rows"]:
                time.sleep(0.5)
        self.note("index built after", f"{perf_counter() - start:.0f} s")

    def back(self, server: MilvusServer) -> None:
        shutil.rmtree(self.work / "back", ignore_errors=True)
        back = Gallery.open(self.work / "back", dimension=DIMENSION, fingerprint=FINGERPRINT)
        self.copied("back", server.url, back)
        rng = np.random.default_rng(8)
        wanted = rng.integers(0, len(self.clusters.centres), ASKED, dtype=np.int32)
        queries = self.clusters.views(wanted, rng)
        again = Gallery.open(self.work / "back", dimension=DIMENSION, fingerprint=FINGERPRINT)
        with self.here() as here, again:
            before, after = (found(gallery, queries) for gallery in (here, again))
            stats = here.stats(), again.stats()
        same = sum(one == other for one, other in zip(before, after, strict=True))
        self.note("there and back, the same answers", f"{same:,} of {ASKED:,}")
        for what in ("images", "vectors"):
            ours, theirs = (getattr(side, what) for side in stats)
            self.note(f"there and back, {what}", f"{theirs:,} of {ours:,}")

    def copied(self, name: str, source: str, target: GalleryProtocol) -> None:
        start = perf_counter()
        copied: list[float] = []

        def progress(done: int, total: int) -> None:
            if done == total:
                copied.append(perf_counter() - start)

        try:
            with read_contents(source, pictures=str(self.work / "pictures")) as contents:
                result = migrate(contents, target, samples=ASKED, progress=progress)
        finally:
            target.close()
        rate = result.images / copied[0]
        self.note(f"migration {name}", f"{copied[0]:.0f} s, {rate:,.0f} references a second")
        self.note(f"migration {name}, verified", f"{perf_counter() - start - copied[0]:.0f} s")
        self.note(
            f"migration {name}, answers as by exact search",
            f"{result.agreeing:,} of {result.asked:,}",
        )

    def search(self, server: MilvusServer) -> None:
        exact = nearest_products(self.clusters, np.arange(self.rows), self.queries, K)
        with self.here() as here:
            self.timed("one machine", here, exact)
        with self.opened(server) as gallery:
            self.timed("Bounded", gallery, exact, relaxed=True)
            self.timed("Session", gallery, exact)
            one = int(self.wanted[0]) % ASSORTMENTS
            kept = np.flatnonzero(self.clusters.products % ASSORTMENTS == one)
            exact = nearest_products(self.clusters, kept, self.queries, K)
            where = In("assortment", (one,))
            self.timed("Bounded, filter of 1 %", gallery, exact, where, relaxed=True)

    def timed(
        self,
        name: str,
        gallery: GalleryProtocol,
        exact: list[list[int]],
        where: In | None = None,
        *,
        relaxed: bool = False,
    ) -> None:
        milliseconds, hits = [], 0
        asked = gallery.relaxed if relaxed else gallery
        for query, best in zip(self.queries, exact, strict=True):
            start = perf_counter()
            (candidates,) = asked.search(query[None], K, where).candidates
            milliseconds.append((perf_counter() - start) * 1000)
            hits += len({c.product_id for c in candidates} & {sku(product) for product in best})
        self.note(f"search, {name}", _times(milliseconds))
        self.note(f"recall@{K}, {name}", f"{hits / sum(map(len, exact)):.4f}")

    def changes(self, server: MilvusServer) -> None:
        """Add, search, delete, search: what was changed is seen by whatever is asked next."""
        added, deleted, both = [], [], []
        rng = np.random.default_rng(9)
        with self.opened(server) as gallery:
            for number in range(CHANGES):
                vector = rng.standard_normal((1, DIMENSION)).astype(np.float32)
                start = perf_counter()
                (image,) = gallery.add_images(sku(number), [_image(self.rows + number, vector)])
                added.append((perf_counter() - start) * 1000)
                if nearest_image(gallery, vector) != image.id:
                    raise AssertionError("What was added is not found.")
                start = perf_counter()
                gallery.delete_image(image.id)
                deleted.append((perf_counter() - start) * 1000)
                (candidates,) = gallery.search(vector, 1).candidates
                both.append((perf_counter() - start) * 1000)
                if candidates[0].image_id == image.id:
                    raise AssertionError("What was deleted is found.")
        self.note("add one", _times(added))
        self.note("delete one", _times(deleted))
        self.note("delete one, then search (Session)", _times(both))

    def kills(self, server: MilvusServer) -> None:
        """`kill -9` amid writes; the same gallery object goes on when the server is back."""
        acknowledged: list[str] = []
        back = []
        with self.opened(server) as gallery:
            gallery.put_product(KILLED, KILLED, {})
            for kill in range(1, KILLS + 1):
                thread = Thread(target=self.write, args=(gallery, acknowledged))
                thread.start()
                while len(acknowledged) < kill * ACKNOWLEDGED and thread.is_alive():
                    time.sleep(0.01)
                server.kill()
                start = perf_counter()
                thread.join()
                server.start()
                while not self.answers(gallery):
                    time.sleep(0.2)
                back.append(perf_counter() - start)
            held = {image.content_sha256 for image in gallery.list_images(KILLED)}
            gallery.delete_product(KILLED)
        lost = set(acknowledged) - held
        self.note("kill -9 of the server amid writes", f"{KILLS} times")
        self.note("acknowledged writes, then lost", f"{len(acknowledged):,}, {len(lost)}")
        self.note("searched again after a kill", f"{np.median(back):.0f} s")

    def write(self, gallery: MilvusGallery, acknowledged: list[str]) -> None:
        """Until the server is gone."""
        rng = np.random.default_rng(len(acknowledged))
        while True:
            image = _image(-len(acknowledged) - 1, rng.standard_normal((1, DIMENSION)))
            try:
                gallery.add_images(KILLED, [image])
            except GalleryUnavailable:
                return
            acknowledged.append(image.content_sha256)

    def answers(self, gallery: MilvusGallery) -> bool:
        try:
            gallery.search(self.queries[:1], K)
        except GalleryUnavailable:
            return False
        return True


def found(gallery: Gallery, queries: NDArray[np.float32]) -> list[list[tuple[str, str, float]]]:
    return [
        [(c.product_id, c.image_id, c.score) for c in candidates]
        for candidates in gallery.search(queries, K).candidates
    ]


def _image(number: int, vectors: NDArray[Any]) -> NewImage:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    # As long as a small thumbnail is, and each another one.
    picture = b"\xff\xd8" + digest.encode() * 64 + b"\xff\xd9"
    return NewImage(digest, 512, 512, picture, vectors)


def _times(milliseconds: list[float]) -> str:
    return f"{np.median(milliseconds):.1f} / {np.percentile(milliseconds, 99):.1f} ms"


def section(figures: dict[str, str], rows: int) -> str:
    how = (
        f"`python -m bench.milvus`: {rows:,} references of {DIMENSION} dimensions, clustered as in "
        "the gallery's bench, on a Milvus 2.3.5 standalone on the same machine (HNSW, M 16, "
        "efConstruction 128; time tick 20 ms). Times are median / 99th percentile of single "
        f"requests by one client. {circumstances()}"
    )
    return "\n\n".join(
        (
            "## Gallery on Milvus",
            how,
            table(("measure", "figure"), [[*row] for row in figures.items()]),
        )
    )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("work", type=Path, help="folder that keeps galleries and figures")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--part", choices=PARTS, action="append", help="all of them by default")
    options = parser.parse_args()
    bench = Bench(options.work, options.rows)
    bench.run(options.part or list(PARTS))
    publish(options.write, "milvus", section(bench.figures, options.rows))


if __name__ == "__main__":
    main()
