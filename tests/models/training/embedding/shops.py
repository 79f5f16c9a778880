"""Made products: each has colours of its own, each photograph its own light and place."""

import numpy as np
from PIL import Image

from models.training.embedding.pictures import Picture

SIDE = 32


def product_picture(product: int, shot: int) -> np.ndarray:
    """Two stripes of the product's colours on grey; shots differ in light and in where they lie."""
    colours = np.random.default_rng(product).integers(0, 256, (2, 3))
    rng = np.random.default_rng([product, shot])
    image = np.full((SIDE, SIDE, 3), 128, np.float32)
    top, left = rng.integers(1, 8, 2)
    image[top : top + 11, left : left + 22] = colours[0]
    image[top + 11 : top + 22, left : left + 22] = colours[1]
    image = image * rng.uniform(0.6, 1.1) + rng.normal(0, 4, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def write_shop(folder, products: int, shots: int) -> list[Picture]:
    """A folder per product with that many photographs; returned as pictures."""
    pictures = []
    for product in range(products):
        own = folder / f"product-{product:02d}"
        own.mkdir(parents=True)
        for shot in range(shots):
            path = own / f"{shot}.png"
            Image.fromarray(product_picture(product, shot)).save(path)
            pictures.append(Picture(path, own.name))
    return pictures
