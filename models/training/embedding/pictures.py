"""Labelled photographs on disk: a folder per product, or a CSV file."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from models.errors import ModelError
from models.pixels import eight_bits
from models.training.kept_out import kept_out
from models.training.photographs import check_present, is_photograph, opened

Image = NDArray[np.uint8]

# Excel writes what separates lists where it stands: a semicolon in much of Europe.
_SEPARATORS = (",", ";", "\t")


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
        with opened(self.path) as image:
            upright = eight_bits(ImageOps.exif_transpose(image))
            transparent = upright.has_transparency_data
            return np.asarray(upright.convert("RGBA" if transparent else "RGB"))


def read_pictures(data: Path) -> list[Picture]:
    """The photographs of a folder with a sub-folder per product, or those a CSV file names.

    The CSV's columns are `path` (from its own folder), `product` and, if wanted, `category`.

    Raises:
        ModelError: there are none, the CSV is none of this kind, or names one that is not there.
    """
    pictures = _of_folder(data) if data.is_dir() else _of_csv(data)
    if not pictures:
        raise ModelError(
            f"{data} names no photographs. Give a folder with one folder per product, or a CSV "
            "file with the columns path and product"
        )
    check_present([picture.path for picture in pictures], data)
    return pictures


def split(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Train and validation by *product*: a fifth of them is for validation."""
    out = kept_out(picture.product for picture in pictures)
    train = [picture for picture in pictures if picture.product not in out]
    return train, [picture for picture in pictures if picture.product in out]


def by_product(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """The photographs of each product, in the order they came."""
    products: defaultdict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        products[picture.product].append(picture)
    return dict(products)


def _of_folder(folder: Path) -> list[Picture]:
    return [
        Picture(path, product.name.strip())
        for product in sorted(folder.iterdir())
        if product.is_dir()
        for path in sorted(product.iterdir())
        if is_photograph(path)
    ]


def _of_csv(file: Path) -> list[Picture]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as table:
            header = table.readline()
            table.seek(0)
            rows = csv.DictReader(table, delimiter=max(_SEPARATORS, key=header.count))
            rows.fieldnames = [title.strip().lower() for title in rows.fieldnames or ()]
            if not {"path", "product"} <= set(rows.fieldnames):
                raise ValueError(f"its header is {header.strip()!r}")
            # Spreadsheets leave rows of nothing but separators.
            return [_of_row(row, rows.line_num, file.parent) for row in rows if any(row.values())]
    except (OSError, ValueError, csv.Error) as error:
        raise ModelError(
            f"{file} is no CSV file with the columns path and product ({error})"
        ) from error


def _of_row(row: dict[str, str | None], line: int, folder: Path) -> Picture:
    """Raises ValueError where it lacks what is needed."""
    path, product, category = (
        (row.get(column) or "").strip() for column in ("path", "product", "category")
    )
    if not path or not product:
        raise ValueError(f"line {line} has no {'product' if path else 'path'}")
    return Picture(folder / path, product, category)
