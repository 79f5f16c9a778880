"""Kill a gallery (-9) at random moments of random work, and look for what that has cost.

`python -m bench.gallery_kills 200 --write docs/benchmarks.md`
"""

import copy
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.transfer.archive import Archive, Picture
from bench.clusters import nearest_image
from bench.index_rows import disagreeing
from bench.killed_writer import digest, jobs_of, opened, thumbnail, vectors_of
from bench.report import circumstances, parser_of, publish, table
from gallery import Gallery

# Product → content digest → content; of deleted products nothing is left.
Contents = dict[str, dict[str, str]]
MOST_MESSAGES = 120
JOB_SECONDS = 120.0
LOOK_SECONDS = 0.02


@dataclass
class Found:
    """What was done and what the kills have cost: the last three should be 0."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    in_doubt: int = 0
    lost: int = 0
    unexpected: int = 0
    disagreeing: int = 0


class Witness:
    """Knows what a gallery must hold, from what its writers said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = Found()
        self.contents: Contents = {}
        # Accepted, perhaps not done yet; and those of which not even that is known.
        self.imports: Contents = {}
        self.doubtful: set[str] = set()

    def round(self, seed: int) -> None:
        """One writer, its death, and what it left."""
        last = self._listen(run_and_kill(self.folder, seed))
        with opened(self.folder) as gallery:
            if last is not None:
                self.found.in_doubt += 1
                self._settle(last, held(gallery))
            # Otherwise the next writer goes on with the imports, and may be killed again.
            if random.Random(seed).random() < 0.5:
                finish_jobs(gallery, self.folder)
                self._imports_are_done(held(gallery))
            self._compare(held(gallery))
            self._search(gallery)
            self.found.disagreeing += disagreeing(gallery)
        self._check_export()

    def _listen(self, messages: list[Any]) -> list[Any] | None:
        """Take note of what was acknowledged; the change that was not, if there is one."""
        last = None
        for message in messages:
            if message is not None:
                last = message
            elif last is not None:
                self._apply(last)
                self.found.acknowledged[last[0]] += 1
                last = None
        return last

    def _apply(self, change: list[Any]) -> None:
        kind, what, *rest = change
        if kind == "import":
            self.imports |= {product: _by_digest(contents) for product, contents in what.items()}
        elif kind == "put":
            self.contents[what] = {}
        elif kind == "delete product":
            self.contents.pop(what, None)
            self.imports.pop(what, None)
        elif kind == "delete image":
            del self.contents[what][rest[0]]
        else:
            self.contents[what] |= _by_digest(rest[0])

    def _settle(self, last: list[Any], now: dict[str, set[str]]) -> None:
        """The change under way at the kill is there as a whole or not at all."""
        before = copy.deepcopy((self.contents, self.imports))
        self._apply(last)
        if last[0] == "import":
            self.doubtful |= set(last[1])
        elif now.get(last[1]) != _digests(self.contents).get(last[1]):
            self.contents, self.imports = before

    def _imports_are_done(self, now: dict[str, set[str]]) -> None:
        for product, contents in self.imports.items():
            if product not in self.doubtful or product in now:
                self.contents[product] = contents
        self.imports, self.doubtful = {}, set()

    def _compare(self, now: dict[str, set[str]]) -> None:
        expected, allowed = _digests(self.contents), _digests(self.imports)
        for product, images in expected.items():
            # An empty product may be lost as well.
            self.found.lost += len(images - now.get(product, set())) + (product not in now)
        for product, images in now.items():
            known = expected.get(product, allowed.get(product))
            self.found.unexpected += len(images - (known or set())) + (known is None)

    def _search(self, gallery: Gallery) -> None:
        """Each vector of each image finds it, and its thumbnail is what it was."""
        for product, contents in self.contents.items():
            for image in gallery.list_images(product):
                vectors = vectors_of(contents[image.content_sha256])
                found = {nearest_image(gallery, vector[None]) for vector in vectors}
                right = found == {image.id} and gallery.get_thumbnail(image.id) == thumbnail()
                self.found.disagreeing += not right

    def _check_export(self) -> None:
        """The newest one is whole, whatever came after it."""
        path = self.folder / "export.zip"
        if path.exists():
            with Archive(path) as archive:
                pictures = [item for item in archive.items() if isinstance(item, Picture)]
                whole = archive.manifest and archive.manifest.images == len(pictures)
                read = all(archive.read(item.entry, 2**20) == thumbnail() for item in pictures)
            self.found.lost += not (whole and read)


def run_and_kill(folder: Path, seed: int) -> list[Any]:
    """The messages of a writer that was killed at a random moment."""
    rng = random.Random(seed)
    writer = subprocess.Popen(
        [sys.executable, "-m", "bench.killed_writer", str(folder), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    with writer.stdout:
        lines = [writer.stdout.readline() for _ in range(rng.randint(1, MOST_MESSAGES))]
        if not all(lines):
            raise RuntimeError("the writer ended by itself")
        time.sleep(rng.uniform(0, 0.02))
        writer.kill()
        lines += writer.stdout.readlines()
    writer.wait()
    return [json.loads(line) for line in lines if line.endswith("\n")]


def finish_jobs(gallery: Gallery, folder: Path) -> None:
    """Take up the imports that are not done, as a start does, until they are."""
    with closing(jobs_of(gallery, folder)) as jobs:
        for name in [path.name for path in (folder / "jobs").iterdir()]:
            until = time.monotonic() + JOB_SECONDS
            while (job := jobs.get(name)).finished_at is None and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
            if job.state != "done" or job.failed:
                raise RuntimeError(f"an import failed: {job}")


def held(gallery: Gallery) -> dict[str, set[str]]:
    return {
        product.id: {image.content_sha256 for image in gallery.list_images(product.id)}
        for product in gallery.list_products(None, 10_000)[0]
    }


def _by_digest(contents: list[str]) -> dict[str, str]:
    return {digest(content): content for content in contents}


def _digests(contents: Contents) -> dict[str, set[str]]:
    return {product: set(images) for product, images in contents.items()}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        witness = Witness(Path(folder))
        for number in range(options.kills):
            witness.round(options.seed + number)
            if number % 10 == 9:
                print(f"{number + 1} kills: {witness.found}", flush=True)
    found = witness.found
    rows = [
        ("kills", f"{options.kills}"),
        *((f"acknowledged: {kind}", f"{n:,}") for kind, n in found.acknowledged.most_common()),
        ("under way at the kill", f"{found.in_doubt}"),
        ("acknowledged changes lost", f"{found.lost}"),
        ("images that nobody added", f"{found.unexpected}"),
        ("index rows that disagree with SQLite", f"{found.disagreeing}"),
    ]
    how = (
        f"`python -m bench.gallery_kills {options.kills}`: kill -9 while products and images are "
        "added and deleted and archives imported, amid compactions, graphs, rebuilds, snapshots, "
        f"backups and exports. {circumstances()}"
    )
    section = "\n\n".join(("## Kills", how, table(("what", "count"), rows)))
    publish(options.write, "gallery kills", section)


if __name__ == "__main__":
    main()
