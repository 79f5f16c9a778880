"""Labelled photographs on disk: a folder per product, or a CSV file."""

import csv
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps

from models.errors import ModelError
from models.pixels import eight_bits

Image = NDArray[np.uint8]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One photograph and the product it shows; `category` is empty where none is told."""

    path: Path
    product: str
    category: str = ""

    def load(self) -> Image:
        """Upright pixels uint8 [H, W, 3], RGB, or [H, W, 4] where the file has transparency.

        Raises:
            ModelError: it cannot be decoded.
        """
        try:
            with PillowImage.open(self.path) as opened:
                upright = eight_bits(ImageOps.exif_transpose(opened))
                transparent = upright.has_transparency_data
                return np.asarray(upright.convert("RGBA" if transparent else "RGB"))
        except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
            raise ModelError(f"{self.path} cannot be read as an image ({error})") from error


def read_pictures(data: Path) -> list[Picture]:
    """The photographs of a folder with a sub-folder per product, or those a CSV file names.

    The CSV's columns are `path` (from its own folder), `product` and, if wanted, `category`.

    Raises:
        ModelError: there are none, or the CSV is none of this kind.
    """
    pictures = _of_folder(data) if data.is_dir() else _of_csv(data)
    if not pictures:
        raise ModelError(
            f"{data} names no photographs. Give a folder with one folder per product, or a CSV "
            "file with the columns path and product"
        )
    return pictures


def split(pictures: Sequence[Picture], parts: int = 5) -> tuple[list[Picture], list[Picture]]:
    """Train and validation by *product*; of `parts` equal parts one is for validation.

    By a checksum of the product: the same in every run, whatever else is added.
    """
    out = [zlib.crc32(picture.product.encode()) % parts == 0 for picture in pictures]
    train = [picture for picture, kept_out in zip(pictures, out, strict=True) if not kept_out]
    return train, [picture for picture, kept_out in zip(pictures, out, strict=True) if kept_out]


def by_product(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """The photographs of each product, in the order they came."""
    products: defaultdict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        products[picture.product].append(picture)
    return dict(products)


def _of_folder(folder: Path) -> list[Picture]:
    return [
        Picture(path, product.name)
        for product in sorted(folder.iterdir())
        if product.is_dir()
        for path in sorted(product.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]


def _of_csv(file: Path) -> list[Picture]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return [
                Picture(file.parent / row["path"], row["product"], row.get("category") or "")
                for row in csv.DictReader(opened)
            ]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
        raise ModelError(
            f"{file} is no CSV file with the columns path and product ({error!r})"
        ) from error
