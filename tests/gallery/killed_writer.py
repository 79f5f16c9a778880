"""Changes a gallery at random until it is killed, saying before and after each change what it is.

Run as `python -m tests.gallery.killed_writer FOLDER SEED`. One JSON line a message: the change,
then `null` when it has been acknowledged.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from gallery import Gallery, index
from tests.gallery.samples import new_image, opened, vectors_of

PRODUCTS = [f"product {number}" for number in range(8)]


def say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def images_of(contents: list[str]) -> list[object]:
    return [new_image(content, vectors_of(content, 2)) for content in contents]


def look_after(gallery: Gallery, folder: Path, rng: random.Random) -> None:
    """What changes no answer, and is killed as well."""
    tasks = [
        gallery.compact,
        gallery.snapshot,
        gallery.rebuild,
        lambda: gallery.backup(folder / "backup"),
    ]
    rng.choice(tasks)()


def change(gallery: Gallery, rng: random.Random, serial: int) -> None:
    product = rng.choice(PRODUCTS)
    there = {entry.id for entry in gallery.list_products(None, 100)[0]}
    if product not in there:
        say(["put", product])
        gallery.put_product(product, product, {})
    elif rng.random() < 0.08:
        say(["delete product", product])
        gallery.delete_product(product)
    elif rng.random() < 0.3 and (images := gallery.list_images(product)):
        image = rng.choice(images)
        say(["delete image", product, image.content_sha256])
        gallery.delete_image(image.id)
    else:
        contents = [f"{serial}/{number}" for number in range(rng.randint(1, 4))]
        say(["add", product, contents])
        gallery.add_images(product, images_of(contents))
    say(None)


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    index.QUIET_SECONDS = 0.0
    gallery = opened(folder, compact_at=12, graph_from=60)
    serial = seed * 1_000_000
    while True:
        change(gallery, rng, serial)
        serial += 1
        if rng.random() < 0.15:
            look_after(gallery, folder, rng)


if __name__ == "__main__":
    main()
