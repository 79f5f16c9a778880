"""The audit of a gallery: planted faults found, and the time that 10,000 references take.

    python -m bench.audit [--data ../shared/data] [--pack models/packs/embedded] [--most 14]
                          [--plantings 5] [--work FOLDER] [--write docs/benchmarks.md]

Faults are planted in a gallery of open photographs, embedded as the service enrols them; `--work`
keeps what has been embedded. Then a service with 10,000 made references is audited over HTTP while
a client goes on asking it to recognise.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, sleep

import httpx2
import numpy as np

from app.audit.audit import Audit, audit
from app.sample import SAMPLES
from bench.galleries import made_gallery
from bench.photographs import photographs
from bench.planted import DUPLICATES, Planted, chosen, embedded, enrol, plant
from bench.report import circumstances, parser_of, publish, table
from bench.serve import HOST, service
from gallery import Gallery, NewImage
from models.pack import Pack

# The audit's limits were chosen on plantings 0 to 2: these are others.
_FIRST_SEED = 10
_LARGE, _EACH = 10_000, 4
_DIMENSION = 512
ALONE_SECONDS = 10.0
MEASURED = "measured"
NO_SAMPLES = {"TILLSIGHT_SAMPLE_GALLERY": "false"}


@dataclass
class Tally:
    """Faults planted and found, and what was told though it was not planted, over plantings."""

    planted: int = 0
    found: int = 0
    told: int = 0
    false: int = 0
    clean: int = 0

    def add(
        self, planted: set[object], told: set[object], clean: int, excused: set[object]
    ) -> None:
        """`excused` are wrong as well, though planted as another fault; `clean`: could be told."""
        self.planted += len(planted)
        self.found += len(planted & told)
        self.told += len(told)
        self.false += len(told - planted - excused)
        self.clean += clean

    def row(self, name: str, of: str) -> list[str]:
        return [
            name,
            f"{self.found} of {self.planted} ({self.found / self.planted:.1%})",
            f"{self.false} of {self.told} told ({self.false / max(self.told, 1):.1%})",
            f"{self.false / self.clean:.4%} of {self.clean:,} {of}",
        ]


def judge(
    planted: Planted, places: dict[str, int], found: Audit, tallies: dict[str, Tally]
) -> None:
    """Compare what an audit told with what was planted."""
    copies = {frozenset((places[d.image_id], places[d.other_image_id])) for d in found.duplicates}
    pairs = len(planted.entries) * (len(planted.entries) - 1) // 2
    tallies["duplicates"].add(set(planted.duplicates), set(copies), pairs, set())
    for how in DUPLICATES:
        some = {pair for pair, kind in planted.duplicates.items() if kind == how}
        tallies[how].add(set(some), set(copies & some), pairs, set())
    # The same file under another product is there under the wrong one.
    misplaced = {max(pair) for pair, how in planted.duplicates.items() if how == "same file"}
    told = {places[item.image_id] for item in found.mislabelled}
    tallies["mislabelled"].add(set(planted.mislabelled), set(told), found.asked, set(misplaced))
    alike = {frozenset((item.product_id, item.other_product_id)) for item in found.look_alikes}
    products = found.products * (found.products - 1) // 2
    tallies["look-alikes"].add(set(planted.look_alikes), set(alike), products, set())


def accuracy(data: Path, pack: Pack, work: Path, *, most: int, plantings: int, threads: int) -> str:
    photos = chosen(data, most)
    tallies = {name: Tally() for name in ("duplicates", *DUPLICATES, "mislabelled", "look-alikes")}
    recalls: list[float] = []
    images = 0
    for seed in range(_FIRST_SEED, _FIRST_SEED + plantings):
        planted = plant(photos, seed)
        references = embedded(planted.entries, pack, work, threads)
        with made_gallery(_DIMENSION) as gallery:
            places = enrol(gallery, planted, references)
            found = audit(gallery, lambda *_: None)
        judge(planted, places, found, tallies)
        recalls.append(found.recall_at_1 or 0.0)
        images = found.images
    rows = [
        tallies["duplicates"].row("duplicates", "pairs"),
        *(
            [f"— {how}", f"{tallies[how].found} of {tallies[how].planted}", "", ""]
            for how in DUPLICATES
        ),
        tallies["mislabelled"].row("mislabelled", "references"),
        tallies["look-alikes"].row("look-alike pairs", "pairs of products"),
    ]
    return "\n\n".join(
        (
            f"{plantings} plantings, each in a gallery of {images:,} references of groceries (at "
            f"most {most} photographs of each) and drinks, whose leave-one-out recall@1 with the "
            f"faults is {min(recalls):.3f} to {max(recalls):.3f}. Look-alikes are products whose "
            "photographs were divided in two. The embedder was trained on these products, and the "
            "audit's limits were chosen on three other plantings in the same photographs.",
            table(("planted", "found", "told, not planted", "of all that could be"), rows),
        )
    )


def fill(folder: Path, fingerprint: str) -> None:
    """A gallery of 10,000 references, four of each product, two vectors each."""
    rng = np.random.default_rng(3)
    thumbnails = [path.read_bytes() for path in sorted(SAMPLES.glob("references/*/*.jpg"))]
    with Gallery.open(folder, dimension=_DIMENSION, fingerprint=fingerprint) as gallery:
        for number in range(_LARGE // _EACH):
            centre = rng.standard_normal(_DIMENSION)
            images = [
                NewImage(
                    f"{number * _EACH + n:064x}",
                    512,
                    512,
                    thumbnails[rng.integers(len(thumbnails))],
                    (centre + rng.standard_normal((2, _DIMENSION))).astype(np.float32),
                )
                for n in range(_EACH)
            ]
            gallery.put_product(f"{number:06}", f"Product {number}", {})
            gallery.add_images(f"{number:06}", images)


class Customer(Thread):
    """Asks to recognise, again and again, and notes how long each answer took."""

    def __init__(self, url: str, photograph: bytes) -> None:
        super().__init__()
        self.milliseconds: list[float] = []
        self.done = Event()
        self._client = httpx2.Client(base_url=url, timeout=60, trust_env=False)
        self._photograph = photograph

    def run(self) -> None:
        with self._client as client:
            while not self.done.is_set():
                start = perf_counter()
                client.post("/recognize", files={"image": self._photograph}).raise_for_status()
                self.milliseconds.append((perf_counter() - start) * 1000)

    def row(self, name: str) -> list[str]:
        middle, high, most = np.quantile(self.milliseconds, (0.5, 0.99, 1.0))
        return [name, str(len(self.milliseconds)), f"{middle:.0f}", f"{high:.0f}", f"{most:.0f}"]


def speed(pack: Pack, threads: int) -> str:
    """A real service of the pack audited while it answers."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        fill(data / "gallery", pack.embedder.fingerprint)
        (data / "packs").mkdir()
        # Under a name that none of the repository's own has: those are looked for first.
        (data / "packs" / MEASURED).symlink_to(pack.folder.resolve())
        with service(data, MEASURED, threads, more=NO_SAMPLES) as (port, _):
            return _audited(f"http://{HOST}:{port}")


def _audited(url: str) -> str:
    photograph = photographs(["1080p"], ["scene-1.jpg"])[0].jpeg
    alone, beside = Customer(url, photograph), Customer(url, photograph)
    alone.start()
    sleep(ALONE_SECONDS)
    alone.done.set()
    alone.join()
    beside.start()
    told = []
    with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
        start = perf_counter()
        while (answer := client.get("/gallery/audit")).status_code == httpx2.codes.ACCEPTED:
            told.append(answer.json())
        seconds = perf_counter() - start
    beside.done.set()
    beside.join()
    shares = ", ".join(f"{one['done'] / one['total']:.0%}" for one in told) or "none"
    found = answer.raise_for_status().json()
    return "\n\n".join(
        (
            f"{found['images']:,} made references of {found['products']:,} products, two vectors "
            f"each, audited over HTTP by a service that one client goes on asking to recognise a "
            f"photograph of 1080p: **{seconds:.1f} s**; progress told meanwhile: {shares}.",
            table(
                ("milliseconds an answer", "answers", "median", "99 %", "longest"),
                [alone.row("without an audit"), beside.row("while it is audited")],
            ),
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, "data", "pack", "threads")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "audit")
    parser.add_argument("--most", type=int, default=14, help="photographs of a grocery")
    parser.add_argument("--plantings", type=int, default=5)
    parser.add_argument("--only", choices=("faults", "speed"))
    options = parser.parse_args(arguments)
    pack = Pack.load(options.pack)
    sections: dict[str, tuple[str, str, Callable[[], str]]] = {
        "faults": (
            "audit",
            "## Audit: planted faults",
            lambda: accuracy(
                options.data,
                pack,
                options.work,
                most=options.most,
                plantings=options.plantings,
                threads=options.threads,
            ),
        ),
        "speed": (
            "audit speed",
            "## Audit: 10,000 references",
            lambda: speed(pack, options.threads),
        ),
    }
    for part, (marker, title, measure) in sections.items():
        if options.only in (None, part):
            measured = measure()
            origin = f"Pack `{pack.name}` {pack.version}, `python -m bench.audit`."
            section = "\n\n".join((title, f"{origin} {circumstances()}", measured))
            publish(options.write, marker, section)


if __name__ == "__main__":
    main()
