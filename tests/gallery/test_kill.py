"""A process that is killed at any moment loses nothing that it has acknowledged."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from gallery import Gallery
from tests.gallery.samples import JPEG, digest, opened, vectors_of

KILLS = 15
# Product → content digest → content; of deleted products nothing is left.
Contents = dict[str, dict[str, str]]


def applied(contents: Contents, change: list) -> Contents:
    after = copy.deepcopy(contents)
    kind, product, *rest = change
    if kind == "put":
        after[product] = {}
    elif kind == "delete product":
        del after[product]
    elif kind == "delete image":
        del after[product][rest[0]]
    else:
        after[product] |= {digest(content): content for content in rest[0]}
    return after


def held(gallery: Gallery) -> dict[str, set[str]]:
    return {
        product.id: {image.content_sha256 for image in gallery.list_images(product.id)}
        for product in gallery.list_products(None, 100)[0]
    }


def digests(contents: Contents) -> dict[str, set[str]]:
    return {product: set(images) for product, images in contents.items()}


def run_and_kill(folder: Path, seed: int) -> list[list | None]:
    """The messages of a writer that was killed at a random moment."""
    rng = random.Random(seed)
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.gallery.killed_writer", str(folder), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout is not None
    with writer.stdout:
        lines = [writer.stdout.readline() for _ in range(rng.randint(1, 120))]
        time.sleep(rng.uniform(0, 0.02))
        writer.kill()
        lines += writer.stdout.readlines()
    writer.wait()
    return [json.loads(line) for line in lines if line.endswith("\n")]


def check_search(gallery: Gallery, contents: Contents) -> None:
    """Each vector of each image finds it, and nothing else is in the index."""
    for product, images in contents.items():
        for image in gallery.list_images(product):
            vectors = vectors_of(images[image.content_sha256], 2)
            for candidates in gallery.search(vectors, 1).candidates:
                assert candidates[0].image_id == image.id
                assert candidates[0].product_id == product
            assert gallery.get_thumbnail(image.id) == JPEG
    count = sum(len(images) for images in contents.values())
    stats = gallery.stats()
    assert (stats.images, stats.vectors) == (count, 2 * count)
    assert stats.index_rows + stats.delta_rows - stats.deleted_rows == 2 * count
    assert gallery.consistent()


def test_every_acknowledged_change_survives_a_kill(tmp_path: Path) -> None:
    contents: Contents = {}
    acknowledged = 0
    for seed in range(KILLS):
        messages = run_and_kill(tmp_path, seed)
        last = None
        for message in messages:
            if message is None:
                assert last is not None
                contents = applied(contents, last)
                acknowledged += 1
                last = None
            else:
                last = message
        with opened(tmp_path, compact_at=12, graph_from=60) as gallery:
            now = held(gallery)
            # The change under way at the kill is there as a whole or not at all.
            if last is not None and now != digests(contents):
                contents = applied(contents, last)
            assert now == digests(contents)
            check_search(gallery, contents)
    assert acknowledged > 10 * KILLS
