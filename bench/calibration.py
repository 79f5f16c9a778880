"""Calibrated rejection on the open photographs: false accepts asked for, and observed.

    python -m bench.calibration [--data ../shared/data] [--pack models/packs/embedded] [--most 14]
                                [--halves 10] [--work FOLDER] [--write docs/benchmarks.md]

Each photograph (`--most` of a grocery; every drink's original) is detected and embedded once, as
`/recognize` does it; `--work` keeps the vectors, so that a run that was stopped goes on. Then, for
each of the random halves: half of the products are enrolled in a gallery of the service, without a
fifth of their photographs, and the gallery is calibrated. Photographs of the other half are unknown
products, the fifth kept back are known ones; they ask with all their regions.
"""

import argparse
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from app.calibration import Calibration, calibrate
from app.recognizer import crop
from bench.report import circumstances, table, write_section
from gallery import Gallery, NewImage
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.preprocess import Pyramid
from models.training.open_data import Photo, beverage, grocery

RATES = (0.01, 0.05, 0.1)
REFERENCE = 0.5  # PP-ShiTuV2's own threshold, whatever the gallery
FACTOR = 1.5
KEPT_BACK = 0.2
_JPEG = b"\xff\xd8\xff\xd9"  # the gallery wants a thumbnail; nobody looks at this one

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """A calibrated gallery and what it answered: best scores, and whether the product was right."""

    calibration: Calibration
    unknown: NDArray[np.float64]
    known: NDArray[np.float64]
    right: NDArray[np.bool_]

    def false_accepts(self, threshold: float) -> float:
        return float(np.mean(self.unknown >= threshold))

    def accepted(self, threshold: float) -> float:
        """Share of known photographs whose product is named first."""
        return float(np.mean(self.right & (self.known >= threshold)))


def choose(data: Path, most: int) -> list[Photo]:
    """`most` photographs of each grocery, and every drink once, in a random order."""
    rng = np.random.default_rng(0)
    found = [p for p in grocery(data) if p.split != "iconic"]
    counts: Counter[str] = Counter()
    chosen = [p for p in beverage(data) if p.is_original]
    for place in rng.permutation(len(found)):
        photo = found[place]
        counts[photo.identity] += 1
        if counts[photo.identity] <= most:
            chosen.append(photo)
    return [chosen[place] for place in rng.permutation(len(chosen))]


def look(photos: Sequence[Photo], pack: Pack, work: Path, threads: int) -> list[Vectors]:
    """The regions' vectors [V, D] of each photograph: the whole image, then bodies, best first."""
    versions = (f"{pack.embedder.fingerprint}{pack.detector}").encode()
    folder = work / hashlib.sha256(versions).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{hashlib.sha256(str(p.path).encode()).hexdigest()}.npy" for p in photos]
    missing = [(p, path) for p, path in zip(photos, paths, strict=True) if not path.exists()]
    if missing:
        detector, embedder = Detector(pack, threads), Embedder(pack, threads)
        try:
            for photo, path in track(missing, "photographs", console=Console(stderr=True)):
                picture = Pyramid(photo.load())
                bodies, _ = detector.detect(picture)
                crops = [picture, *(crop(picture, body.box) for body in bodies)]
                partial = path.with_suffix(".partial.npy")
                np.save(partial, embedder.embed(crops)[0])
                partial.replace(path)
        finally:
            detector.close()
            embedder.close()
    return [np.load(path) for path in paths]


def halve(photos: Sequence[Photo], vectors: Sequence[Vectors], seed: int) -> Half:
    """Enrol a random half of the products, calibrate, and ask.

    Raises:
        GalleryTooSmall: the half has too few second photographs.
    """
    rng = np.random.default_rng(seed)
    names = sorted({photo.identity for photo in photos})
    enrolled = {names[place] for place in rng.permutation(len(names))[: len(names) // 2]}
    shown: dict[str, list[int]] = {}
    for place, photo in enumerate(photos):
        shown.setdefault(photo.identity, []).append(place)
    references: dict[str, list[int]] = {}
    known: list[int] = []
    for name in sorted(enrolled):
        places = list(rng.permutation(shown[name]))
        back = int(len(places) * KEPT_BACK)
        known += places[:back]
        references[name] = places[back:]
    unknown = [i for name in names if name not in enrolled for i in shown[name]]
    with (
        tempfile.TemporaryDirectory() as folder,
        Gallery.open(Path(folder), dimension=vectors[0].shape[1], fingerprint="bench") as gallery,
    ):
        for name, places in references.items():
            gallery.put_product(name, name, {})
            gallery.add_images(name, [_reference(photos[i], vectors[i]) for i in places])
        calibration = calibrate(gallery)
        strangers = _ask(gallery, [vectors[i] for i in unknown])
        answers = _ask(gallery, [vectors[i] for i in known])
    return Half(
        calibration,
        unknown=np.array([score for _, score in strangers]),
        known=np.array([score for _, score in answers]),
        right=np.array(
            [name == photos[i].identity for (name, _), i in zip(answers, known, strict=True)]
        ),
    )


def rates_table(halves: Sequence[Half]) -> str:
    """Asked against observed, over the halves."""
    rows = []
    for rate in RATES:
        thresholds = [half.calibration.threshold(rate) for half in halves]
        both = list(zip(halves, thresholds, strict=True))
        observed = [half.false_accepts(threshold) for half, threshold in both]
        intervals = [half.calibration.interval(threshold) for half, threshold in both]
        near = [rate / FACTOR <= seen <= rate * FACTOR for seen in observed]
        inside = [
            low <= seen <= high for seen, (low, high) in zip(observed, intervals, strict=True)
        ]
        expected = [half.calibration.miss_rate(threshold) for half, threshold in both]
        missed = [1 - half.accepted(threshold) for half, threshold in both]
        rows.append(
            (
                f"{rate:.0%}",
                f"{min(thresholds):.3f} to {max(thresholds):.3f}",
                f"{np.mean(observed):.1%}",
                f"{min(observed):.1%} to {max(observed):.1%}",
                f"{sum(near)} of {len(near)}",
                f"{sum(inside)} of {len(inside)}",
                f"{np.mean([low for low, _ in intervals]):.1%} to "
                f"{np.mean([high for _, high in intervals]):.1%}",
                f"{np.mean(expected):.1%}",
                f"{np.mean(missed):.1%}",
            )
        )
    header = (
        "asked",
        "thresholds",
        "observed, mean",
        "observed, range",
        f"within a factor of {FACTOR}",
        "inside the interval",
        "interval, mean",
        "misses expected",
        "misses observed",
    )
    return table(header, rows)


def fixed_table(halves: Sequence[Half]) -> str:
    """Right answers accepted: calibrated, and by the one threshold with as many false accepts."""
    candidates = np.unique(np.concatenate([half.unknown for half in halves]))
    rows = []
    for rate in RATES:
        thresholds = [half.calibration.threshold(rate) for half in halves]
        wrong = _mean(half.false_accepts(t) for half, t in zip(halves, thresholds, strict=True))
        right = _mean(half.accepted(t) for half, t in zip(halves, thresholds, strict=True))
        # The lowest that names no more strangers; it is chosen knowing the answers.
        best = next(
            (t for t in candidates if _mean(half.false_accepts(t) for half in halves) <= wrong),
            float(candidates[-1]),
        )
        fixed = _mean(half.accepted(best) for half in halves)
        rows.append((f"{rate:.0%}", f"{wrong:.1%}", f"{right:.1%}", f"{best:.3f}", f"{fixed:.1%}"))
    wrong = _mean(half.false_accepts(REFERENCE) for half in halves)
    right = _mean(half.accepted(REFERENCE) for half in halves)
    rows.append(("not calibrated", f"{wrong:.1%}", "", f"{REFERENCE:.3f}", f"{right:.1%}"))
    header = (
        "asked",
        "false accepts observed",
        "right, calibrated",
        "fixed threshold",
        "right, fixed",
    )
    return table(header, rows)


def run(data: Path, pack: Pack, work: Path, *, most: int, halves: int, threads: int) -> str:
    """The section as Markdown."""
    photos = choose(data, most)
    vectors = look(photos, pack, work, threads)
    parts = [
        "## Calibrated rejection",
        f"Pack `{pack.name}` {pack.version}, `python -m bench.calibration`, {halves} random "
        f"halves, at most {most} photographs of a grocery. {circumstances()}",
    ]
    pooled: list[Half] = []
    for name, keep in (
        ("Groceries", [not photo.boxes for photo in photos]),
        ("Groceries and drinks", [True] * len(photos)),
    ):
        some = [place for place, kept in enumerate(keep) if kept]
        made = [
            halve([photos[i] for i in some], [vectors[i] for i in some], seed)
            for seed in range(halves)
        ]
        pooled += made
        parts += [
            f"{name}: {np.mean([len(half.calibration.impostor) for half in made]):.0f} references "
            f"of {np.mean([len(np.unique(half.calibration.products)) for half in made]):.0f} "
            f"products; {np.mean([len(half.unknown) for half in made]):.0f} unknown and "
            f"{np.mean([len(half.known) for half in made]):.0f} known photographs.",
            rates_table(made),
        ]
    parts += [
        "Right answers accepted, over all these galleries; the best fixed threshold is chosen on "
        "the answers themselves, for as many false accepts as calibration had.",
        fixed_table(pooled),
    ]
    return "\n\n".join(parts)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _reference(photo: Photo, vectors: Vectors) -> NewImage:
    # The whole image and its best body, as app.enrolment keeps them.
    digest = hashlib.sha256(str(photo.path).encode()).hexdigest()
    return NewImage(digest, 1, 1, _JPEG, vectors[:2])


def _ask(gallery: Gallery, queries: Sequence[Vectors]) -> list[tuple[str, float]]:
    """For each photograph, by its best region, the best product and its score."""
    found = []
    for query in queries:
        best = max((row[0] for row in gallery.search(query, 1).candidates), key=lambda c: c.score)
        found.append((best.product_id, best.score))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pack", type=Path, default=Path("models/packs/embedded"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "calibration")
    parser.add_argument("--most", type=int, default=14, help="photographs of a grocery")
    parser.add_argument("--halves", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path, help="report whose section is replaced")
    options = parser.parse_args()
    section = run(
        options.data,
        Pack.load(options.pack),
        options.work,
        most=options.most,
        halves=options.halves,
        threads=options.threads,
    )
    print(section)
    if options.write:
        write_section(options.write, "calibration", section)


if __name__ == "__main__":
    main()
