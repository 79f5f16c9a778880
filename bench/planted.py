"""A gallery of open photographs with faults planted in it, and what an audit should say of them."""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from rich.progress import track

from app.enrolment.enroller import Enroller
from app.images import ImageLimits
from gallery import Gallery, NewImage
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.training.open_data import Photo, beverage, grocery

MISLABELLED = 20
SPLIT = 10  # products that become two which look alike
# How the copies were made, and how many of each.
DUPLICATES = {"same file": 10, "saved smaller": 15, "cut by 3 %": 15, "lighter": 10}
_LIMITS = ImageLimits(max_bytes=2**25, max_pixels=10**8, min_side=16)


@dataclass(frozen=True, slots=True)
class Entry:
    """A reference to enrol: the bytes of its file, and the product that it is enrolled as."""

    data: bytes
    product: str


@dataclass
class Planted:
    """References, those of them that are faults, and pairs of them (places) and of products."""

    entries: list[Entry] = field(default_factory=list)
    duplicates: dict[frozenset[int], str] = field(default_factory=dict)
    mislabelled: set[int] = field(default_factory=set)
    look_alikes: set[frozenset[str]] = field(default_factory=set)

    def add(self, entry: Entry) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1


def chosen(data: Path, most: int) -> list[Photo]:
    """Every drink once and `most` photographs of each grocery, in an order always the same."""
    rng = np.random.default_rng(0)
    found = [p for p in (*grocery(data), *beverage(data)) if p.split not in ("iconic", "copy")]
    counts: Counter[str] = Counter()
    kept = []
    for place in rng.permutation(len(found)):
        photo = found[place]
        counts[photo.identity] += 1
        if counts[photo.identity] <= most:
            kept.append(photo)
    return kept


def plant(photos: Sequence[Photo], seed: int) -> Planted:
    """Faults at random places; a reference has one at most."""
    rng = np.random.default_rng(seed)
    planted = Planted()
    of: dict[str, list[int]] = defaultdict(list)
    for photo in photos:
        of[photo.identity].append(planted.add(Entry(photo.path.read_bytes(), photo.identity)))
    large = sorted(name for name, places in of.items() if len(places) >= 6)
    names = list(rng.permutation(large))
    for name in names[:SPLIT]:
        other = f"{name}, other size"
        for place in rng.permutation(of[name])[: len(of[name]) // 2]:
            planted.entries[place] = replace(planted.entries[place], product=other)
        planted.look_alikes.add(frozenset((name, other)))
    whole = names[SPLIT:]
    # Of products that stay whole, so that what a fault does to another is not counted.
    free = [place for name in whole for place in of[name]]
    spots = iter(rng.permutation(free).tolist())
    for place in (next(spots) for _ in range(MISLABELLED)):
        own = planted.entries[place].product
        other = str(rng.choice([name for name in whole if name != own]))
        planted.entries[place] = replace(planted.entries[place], product=other)
        planted.mislabelled.add(place)
    for how, count in DUPLICATES.items():
        for place in (next(spots) for _ in range(count)):
            entry = planted.entries[place]
            if how == "same file":  # a product holds a file only once
                other = str(rng.choice([name for name in whole if name != entry.product]))
                copy = planted.add(replace(entry, product=other))
            else:
                copy = planted.add(replace(entry, data=_ALTERED[how](entry.data)))
            planted.duplicates[frozenset((place, copy))] = how
    return planted


def enrol(gallery: Gallery, planted: Planted, images: Sequence[NewImage]) -> dict[str, int]:
    """Put it all into a gallery; image id → place."""
    places: dict[str, int] = {}
    by_product: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(planted.entries):
        by_product[entry.product].append(place)
    for product, some in by_product.items():
        gallery.put_product(product, product, {})
        added = gallery.add_images(product, [images[place] for place in some])
        places |= {image.id: place for image, place in zip(added, some, strict=True)}
    return places


def embedded(entries: Sequence[Entry], pack: Pack, work: Path, threads: int) -> list[NewImage]:
    """Each entry's file as the service would enrol it; `work` keeps what has been embedded."""
    folder = (
        work
        / hashlib.sha256(f"{pack.embedder.fingerprint}{pack.detector}".encode()).hexdigest()[:16]
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = {e.data: folder / f"{hashlib.sha256(e.data).hexdigest()}.npz" for e in entries}
    missing = [(data, path) for data, path in paths.items() if not path.exists()]
    if missing:
        detector, embedder = Detector(pack, threads), Embedder(pack, threads)
        enroller = Enroller(detector, embedder, _LIMITS)
        try:
            for data, path in track(missing, "photographs", console=Console(stderr=True)):
                image = enroller.prepare(data)
                partial = path.with_suffix(".partial.npz")
                np.savez(
                    partial,
                    vectors=image.vectors,
                    thumbnail=np.frombuffer(image.thumbnail, np.uint8),
                    size=(image.width, image.height),
                )
                partial.replace(path)
        finally:
            detector.close()
            embedder.close()
    return [_read(paths[entry.data]) for entry in entries]


def _read(path: Path) -> NewImage:
    with np.load(path) as kept:
        width, height = kept["size"].tolist()
        vectors: NDArray[np.float32] = kept["vectors"]
        return NewImage(path.stem, width, height, kept["thumbnail"].tobytes(), vectors)


def _altered(
    change: Callable[[Image.Image], Image.Image], quality: int
) -> Callable[[bytes], bytes]:
    def altered(data: bytes) -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            made = change(ImageOps.exif_transpose(image).convert("RGB"))
        buffer = io.BytesIO()
        made.save(buffer, format="JPEG", quality=quality)
        return buffer.getvalue()

    return altered


def _cut(image: Image.Image) -> Image.Image:
    across, down = round(image.width * 0.03), round(image.height * 0.03)
    return image.crop((across, down, image.width - across, image.height - down))


_ALTERED = {
    "saved smaller": _altered(lambda image: ImageOps.scale(image, 0.5), 60),
    "cut by 3 %": _altered(_cut, 85),
    "lighter": _altered(lambda image: ImageEnhance.Brightness(image).enhance(1.2), 85),
}
