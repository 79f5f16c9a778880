"""Galleries of half of the open photographs' products, calibrated and asked about both halves."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from app.calibration.calibrate import calibrate
from app.calibration.calibration import Calibration
from app.references import references_of
from app.verification import Verdict, claimed, limits
from bench.galleries import made_gallery, reference
from gallery import Gallery, NewImage
from gallery.scenes import scenes_of
from models.detector import Detector, crop
from models.embedder import Embedder
from models.pack import EmbedderSpec, Pack
from models.preprocess import Pyramid
from models.thresholds import MatchThreshold
from models.training.open_data import Photo, beverage, grocery

KEPT_BACK = 0.2
CLAIMED = 0.05
STRANGERS = 100  # photographs of unknown products that claim to show known ones

Vectors = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The best product of N photographs: score and margin float64 [N]; bool [N]: is it right."""

    scores: NDArray[np.float64]
    margins: NDArray[np.float64]
    right: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """A calibrated gallery, and what it answered about known products and unknown ones.

    `single` bool [N]: which photographs of unknown products show no more than one labelled body.
    `claims`: verdicts by what was claimed, at the false-accept rate CLAIMED.
    """

    calibration: Calibration
    unknown: Answers
    known: Answers
    single: NDArray[np.bool_]
    claims: dict[str, list[Verdict]]

    @property
    def alone(self) -> Calibration:
        """What the gallery's references alone say, where nothing is known of the embedder."""
        usual = MatchThreshold(self.calibration.usual.highest)
        return replace(self.calibration, usual=usual)

    def false_accepts(self, threshold: float) -> float:
        return float(np.mean(self.unknown.scores >= threshold))

    def accepted(self, threshold: float) -> float:
        """Share of known photographs whose product is named first."""
        return float(np.mean(self.known.right & (self.known.scores >= threshold)))


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


def regions(image: Image, detector: Detector, embedder: Embedder) -> Vectors:
    """The vectors [V, D] of an image's regions: the whole image, then bodies, best first."""
    picture = Pyramid(image)
    bodies, _ = detector.detect(picture)
    return embedder.embed([picture, *(crop(picture, body.box) for body in bodies)])[0]


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
                partial = path.with_suffix(".partial.npy")
                np.save(partial, regions(photo.load(), detector, embedder))
                partial.replace(path)
        finally:
            detector.close()
            embedder.close()
    return [np.load(path) for path in paths]


def halve(
    photos: Sequence[Photo], vectors: Sequence[Vectors], seed: int, embedder: EmbedderSpec
) -> Half:
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
    with made_gallery(vectors[0].shape[1]) as gallery:
        for name, places in references.items():
            gallery.put_product(name, name, {})
            gallery.add_images(name, [_reference(photos[i], vectors[i]) for i in places])
        calibration = calibrate(gallery, embedder.threshold)
        return Half(
            calibration,
            unknown=_ask(gallery, photos, vectors, unknown),
            known=_ask(gallery, photos, vectors, known),
            single=np.array([len(photos[i].boxes) <= 1 for i in unknown]),
            claims=_claims(
                gallery,
                calibration,
                photos,
                vectors,
                known,
                unknown,
                embedder.ambiguous_margin,
                rng,
            ),
        )


def _reference(photo: Photo, vectors: Vectors) -> NewImage:
    # The whole image and its best body, as app.enrolment.enroller keeps them.
    return reference(str(photo.path).encode(), vectors[:2])


def _ask(
    gallery: Gallery, photos: Sequence[Photo], vectors: Sequence[Vectors], places: Sequence[int]
) -> Answers:
    """What is best by the best region of each of the photographs at `places`."""
    found = []
    for place in places:
        asked = vectors[place]
        rows = gallery.search(asked, 2, scenes=scenes_of(len(asked))).candidates
        best, second = max(rows, key=lambda row: row[0].score)
        right = best.product_id == photos[place].identity
        found.append((best.score, best.score - second.score, right))
    scores, margins, right_ones = (np.array(column) for column in zip(*found, strict=True))
    return Answers(scores, margins, right_ones.astype(np.bool_))


def _claims(
    gallery: Gallery,
    calibration: Calibration,
    photos: Sequence[Photo],
    vectors: Sequence[Vectors],
    known: Sequence[int],
    unknown: Sequence[int],
    ambiguous_margin: float,
    rng: np.random.Generator,
) -> dict[str, list[Verdict]]:
    """What is said to photographs, by their places, that claim to show a known product."""
    names = sorted({photos[i].identity for i in known})
    references = {name: references_of(gallery, name) for name in names}
    judged = {name: limits(calibration, name, references[name], CLAIMED) for name in names}

    def verdict(place: int, name: str) -> Verdict:
        asked, found = vectors[place], judged[name]
        claim = claimed(gallery, name, references[name], asked, scenes_of(len(asked)))
        if claim is None or found is None:
            raise ValueError(f"{name} has no references.")
        return claim.verdict(found, ambiguous_margin)

    def another(place: int) -> str:
        return str(rng.choice([name for name in names if name != photos[place].identity]))

    strangers = rng.choice(unknown, min(STRANGERS, len(unknown)), replace=False).tolist()
    return {
        "its own product": [verdict(i, photos[i].identity) for i in known],
        "another one, its own is enrolled": [verdict(i, another(i)) for i in known],
        "another one, its own is not": [verdict(i, another(i)) for i in strangers],
    }
