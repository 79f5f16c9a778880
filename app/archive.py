"""A shop in a zip file: a folder of images per product and, for names and metadata, `products.csv`.

Nothing is unpacked to the disk: entries are read one at a time, each within the limits of an image,
so that neither paths nor sizes that an archive claims can do harm.
"""

import csv
import io
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from app.checks import check_metadata, check_name, check_product_id
from gallery import JSON

PRODUCTS = "products.csv"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
MOST_ENTRIES = 500_000
MOST_TABLE_BYTES = 64 * 1024 * 1024


class UnusableArchive(Exception):
    """The file as a whole can't be imported; the message says why."""


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A line of `products.csv`."""

    id: str
    name: str
    metadata: dict[str, JSON] = field(default_factory=dict)


class Archive:
    """An open archive. Entries are read by name order, the same at every reading."""

    def __init__(self, path: Path) -> None:
        """Look at the table of contents.

        Raises:
            UnusableArchive: not a zip file, encrypted, too many entries, or nothing in it.
        """
        try:
            self._zip = ZipFile(path)
        except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise UnusableArchive(f"This is not a zip file that can be read ({error}).") from error
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise UnusableArchive(
                f"The archive has {len(entries):,} entries; at most {MOST_ENTRIES:,} are read. "
                "Split it."
            )
        if any(entry.flag_bits & 1 for entry in entries):
            raise UnusableArchive("The archive is encrypted; send it without a password.")
        self.images = sorted(filter(_is_image, entries), key=lambda entry: entry.filename)
        self._tables = [
            entry for entry in entries if PurePosixPath(entry.filename).name == PRODUCTS
        ]
        if not self.images and not self._tables:
            raise UnusableArchive(
                "The archive holds neither images nor products.csv. Put the images of each product "
                "into a folder named by its id."
            )

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def products(self) -> Iterator[ProductRow | tuple[str, ValueError]]:
        """The rows of `products.csv`, or the line and error of those that can't be taken.

        Columns: `id`, `name` (the id by default), `metadata` (a JSON object); any other column
        becomes metadata under its own name.
        """
        for table in self._tables:
            text = self.read(table, MOST_TABLE_BYTES).decode("utf-8-sig", errors="replace")
            reader = csv.DictReader(io.StringIO(text))
            for row in reader:
                try:
                    yield _product(row)
                except ValueError as error:
                    yield f"{table.filename}:{reader.line_num}", error

    def read(self, entry: ZipInfo, most_bytes: int) -> bytes:
        """At most one byte more than `most_bytes`, whatever size the entry claims.

        Raises:
            ValueError: the entry is damaged.
        """
        try:
            with self._zip.open(entry) as file:
                return file.read(most_bytes + 1)
        except Exception as error:
            # zipfile raises what its decompressors do (zlib.error, EOFError …).
            raise ValueError(f"the entry can't be read ({error})") from error


def product_of(entry: ZipInfo) -> str:
    """The product that an image belongs to: the folder it lies in.

    Raises:
        ValueError: it lies in none, or the name can't be an id.
    """
    parent = PurePosixPath(entry.filename).parent.name
    if not parent:
        raise ValueError("the image lies in no folder; its folder's name is its product's id")
    return check_product_id(parent)


def _is_image(entry: ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    # macOS puts a shadow of every file into __MACOSX.
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    link = stat.S_ISLNK(entry.external_attr >> 16)
    return path.suffix.lower() in IMAGE_SUFFIXES and not (entry.is_dir() or hidden or link)


def _product(row: dict[str | None, str | None]) -> ProductRow:
    values = {key.strip(): value.strip() for key, value in row.items() if key and value}
    if "id" not in values:
        raise ValueError("the row has no id")
    product_id = check_product_id(values.pop("id"))
    name = check_name(values.pop("name", product_id))
    given = json.loads(values.pop("metadata", "{}"))
    if not isinstance(given, dict):
        raise ValueError("metadata is not a JSON object")
    return ProductRow(product_id, name, check_metadata({**values, **given}))
