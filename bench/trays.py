"""Trays of several products: how many are named with the detector, and without it."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bench.report import table
from models.detector import Detector, crop
from models.embedder import Embedder
from models.pack import Pack
from models.preprocess import Pyramid
from models.training.render.surfaces import TABLES, surface

Image = NDArray[np.uint8]
Cutout = NDArray[np.uint8]  # RGBA
Slot = tuple[int, int, int, int]  # x, y, width, height in pixels

TRAYS = 60
PRODUCTS = (2, 3, 4)  # on a tray, in turn
WIDTH, HEIGHT = 960, 640  # pixels
REFERENCE_SIDE = 320
PAPER = 225  # grey that references lie on
MAX_BOXES = 5


def read_bodies(folder: Path) -> dict[str, list[Cutout]]:
    """Bodies cut out by the detector's recipe, by product; products seen once are left out."""
    bodies: defaultdict[str, list[Cutout]] = defaultdict(list)
    for path in sorted(folder.glob("*/*.png")):
        if path.parent.name != "rendered":
            pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)
            body = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), np.uint8)
            bodies[_product(path.stem)].append(body)
    return {product: found for product, found in bodies.items() if len(found) > 1}


def _product(stem: str) -> str:
    """Identity of `identity-photograph`: a grocery's photograph repeats it, a drink's is digits."""
    found = re.fullmatch(r"(.+)-\1_\w+", stem) or re.fullmatch(r"(.+)-\d+-\d+", stem)
    if found is None:
        raise ValueError(f"{stem} names no product")
    return found.group(1)


def lay(bodies: Sequence[Cutout], ground: Image, slots: Sequence[Slot]) -> Image:
    """Bodies in slots on a copy of the ground, proportions kept."""
    tray = ground.copy()
    for body, (x, y, width, height) in zip(bodies, slots, strict=True):
        scale = min(width / body.shape[1], height / body.shape[0])
        size = (max(1, int(body.shape[1] * scale)), max(1, int(body.shape[0] * scale)))
        placed = cv2.resize(body, size, interpolation=cv2.INTER_AREA)
        left, top = x + (width - size[0]) // 2, y + (height - size[1]) // 2
        under = tray[top : top + size[1], left : left + size[0]]
        opacity = placed[..., 3:].astype(np.float32) / 255
        under[:] = (placed[..., :3] * opacity + under * (1 - opacity)).astype(np.uint8)
    return tray


def measure(pack: Pack, threads: int, folder: Path) -> str:
    """A table: share of the products on trays that are named."""
    bodies = read_bodies(folder)
    owners = [product for product, found in bodies.items() for _ in found]
    flat = [body for found in bodies.values() for body in found]
    paper = np.full((REFERENCE_SIDE, REFERENCE_SIDE, 3), PAPER, np.uint8)
    inset = REFERENCE_SIDE // 16
    slot = (inset, inset, REFERENCE_SIDE - 2 * inset, REFERENCE_SIDE - 2 * inset)
    detector, embedder = Detector(pack, threads), Embedder(pack, threads)
    references = np.concatenate(
        [embedder.embed([lay([b], paper, [slot])])[0] for b in track(flat, "references")]
    )
    rng = np.random.default_rng(0)
    tables = sorted(TABLES)
    named, whole, total = 0, 0, 0
    for number in track(range(TRAYS), "trays"):
        count = PRODUCTS[number % len(PRODUCTS)]
        products = rng.choice(sorted(bodies), count, replace=False)
        chosen = [int(rng.choice([i for i, p in enumerate(owners) if p == q])) for q in products]
        step = WIDTH // count
        slots = [(place * step + step // 10, 80, step * 8 // 10, 480) for place in range(count)]
        ground = cv2.resize(surface(tables[number % len(tables)], 2000 + number), (WIDTH, HEIGHT))
        tray = lay([flat[i] for i in chosen], np.asarray(ground, np.uint8), slots)
        photograph = Pyramid(tray)
        found, _ = detector.detect(photograph, max_results=MAX_BOXES)
        crops = [crop(photograph, body.box) for body in found]
        scores = embedder.embed([photograph, *crops])[0] @ references.T
        scores[:, chosen] = -1  # the photographs on the tray are no references for it
        answers = [owners[i] for i in scores.argmax(axis=1)]
        total += count
        named += len(set(products) & set(answers))
        whole += answers[0] in products
    detector.close()
    embedder.close()
    return table(
        ("trays of 2 to 4 products", "products", "named with the detector", "whole image alone"),
        [
            (
                f"{TRAYS}, among {len(bodies)} products, {len(flat)} references",
                str(total),
                f"{named / total:.3f}",
                f"{whole / total:.3f}",
            )
        ],
    )
