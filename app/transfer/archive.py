"""A shop in a zip file: a folder of images per product and, for names and metadata, `products.csv`.

An export is one, too; it says more of its images. Nothing is unpacked to the disk: entries are read
one at a time, each within limits, so that neither paths nor sizes that an archive claims can do
harm.
"""

import csv
import io
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeAlias
from zipfile import BadZipFile, ZipFile, ZipInfo

from pydantic import ValidationError

from app.checks import check_product_id, check_written_id
from app.transfer.export_format import MANIFEST, REFERENCES, VERSION, Manifest, ReferenceLine
from app.transfer.product_table import ProductRow, open_table, read_row

PRODUCTS = "products.csv"
# Of what is read, and of what else cameras write: that is refused, and not passed over in silence.
PICTURE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp"),
    *(".heic", ".heif", ".hif", ".avif", ".tif", ".tiff", ".jp2", ".jxl"),
    *(".dng", ".arw", ".cr2", ".cr3", ".nef", ".orf", ".raf", ".rw2"),
}
MOST_ENTRIES = 1_250_000
MOST_CONTENTS_BYTES = 256 * 1024 * 1024
MOST_TABLE_BYTES = 64 * 1024 * 1024
# APPNOTE.TXT 4.4.4: bit 11 of an entry's flags; names of others are in the first PCs' code page.
_SAYS_UTF8 = 1 << 11
_OLD_ENCODING = "cp437"


class UnusableArchive(Exception):
    """The file as a whole can't be imported; the message says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a product, and what an export says of it."""

    entry: ZipInfo
    product: str
    line: ReferenceLine | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """What can't be taken: where it stands, and why."""

    place: str
    error: ValueError


Item: TypeAlias = ProductRow | Picture | Refused


class Archive:
    """An open archive."""

    def __init__(self, path: Path) -> None:
        """Look at the table of contents.

        Raises:
            UnusableArchive: not a zip file, encrypted, too many entries, nothing in it, or an
                export of a newer release.
        """
        with ExitStack() as opened:
            try:
                file = opened.enter_context(_Bounded(io.FileIO(path)))
                self._zip = opened.enter_context(ZipFile(file))
            except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
                raise UnusableArchive(
                    f"This is not a zip file that can be read ({error})."
                ) from error
            self._look_over(self._zip.infolist())
            self._opened = opened.pop_all()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def items(self) -> Iterator[Item]:
        """Products, the pictures of an export in its order, other images by name.

        The same at every reading.
        """
        for table in self._tables:
            yield from self._rows(table)
        left = {entry.filename: entry for entry in self._images}
        for entry in self._references:
            for item in self._lines(entry):
                if isinstance(item, Picture):
                    left.pop(item.entry.filename, None)
                yield item
        for entry in left.values():
            try:
                yield Picture(entry, _product_of(entry))
            except ValueError as error:
                yield Refused(entry.filename, error)

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

    def _look_over(self, entries: list[ZipInfo]) -> None:
        """Note what is in it; raises UnusableArchive."""
        if any(entry.flag_bits & 1 for entry in entries):
            raise UnusableArchive("The archive is encrypted; send it without a password.")
        self._images = sorted(filter(_is_image, entries), key=lambda entry: entry.filename)
        self._tables = [
            entry for entry in entries if PurePosixPath(entry.filename).name == PRODUCTS
        ]
        if not self._images and not self._tables:
            raise UnusableArchive(
                "The archive holds neither images nor products.csv. Put the images of each product "
                "into a folder named by its id."
            )
        self.manifest = self._read_manifest()
        self._references = sorted(
            (entry for entry in entries if self.manifest and _is_references(entry)),
            key=lambda entry: entry.filename,
        )

    def _read_manifest(self) -> Manifest | None:
        entry = self._zip.NameToInfo.get(MANIFEST)
        if entry is None:
            return None
        try:
            manifest = Manifest.model_validate_json(self.read(entry, MOST_TABLE_BYTES))
        except ValueError as error:
            raise UnusableArchive(
                f"{MANIFEST} is not that of an export. Export again, or take the file out to have "
                "the archive's images embedded as photographs."
            ) from error
        if manifest.version > VERSION:
            raise UnusableArchive("A newer release wrote this export: import it with that one.")
        return manifest

    def _table(self, entry: ZipInfo) -> bytes:
        """All of a file of lines. Raises ValueError."""
        data = self.read(entry, MOST_TABLE_BYTES)
        if len(data) > MOST_TABLE_BYTES:
            raise ValueError(f"it has more than {MOST_TABLE_BYTES:,} bytes: split it")
        return data

    def _rows(self, table: ZipInfo) -> Iterator[ProductRow | Refused]:
        # An export brings back what was there, however it was spelt.
        check_id = check_product_id if self.manifest else check_written_id
        try:
            reader = open_table(self._table(table))
            for row in reader:
                place = f"{table.filename}:{reader.line_num}"
                try:
                    yield read_row(row, place, check_id)
                except ValueError as error:
                    yield Refused(place, error)
        except csv.Error as error:
            yield Refused(table.filename, ValueError(f"the rest of the table is lost ({error})"))
        except ValueError as error:
            yield Refused(table.filename, error)

    def _lines(self, part: ZipInfo) -> Iterator[Picture | Refused]:
        try:
            lines = io.BytesIO(self._table(part))
        except ValueError as error:
            yield Refused(part.filename, error)
            return
        for number, text in enumerate(lines, start=1):
            place = f"{part.filename}:{number}"
            try:
                line = ReferenceLine.model_validate_json(text)
                entry = self._zip.NameToInfo.get(line.file)
                if entry is None or entry.is_dir():
                    raise ValueError(f"the archive doesn't hold its picture {line.file[:200]!r}")
                yield Picture(entry, check_product_id(line.product), line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "line"
                yield Refused(place, ValueError(f"{where}: {first['msg']}"))
            except ValueError as error:
                yield Refused(place, error)


class _Bounded(io.BufferedReader):
    """A zip file for ZipFile, which takes up the whole table of contents before it can be asked.

    It reads that at once, whatever size the file claims, and makes 400 bytes of each entry.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """As many bytes; no more entries and contents than may be.

        Raises:
            UnusableArchive: there are more.
        """
        if size is not None and size > MOST_CONTENTS_BYTES:
            raise UnusableArchive(
                f"The archive's table of contents has {size:,} bytes; at most "
                f"{MOST_CONTENTS_BYTES:,} are read. Split it."
            )
        data = super().read(size)
        if (entries := data.count(b"PK\x01\x02")) > MOST_ENTRIES:
            raise UnusableArchive(
                f"The archive has {entries:,} entries; at most {MOST_ENTRIES:,} are read. Split it."
            )
        return data


def is_picture(path: PurePath) -> bool:
    """Whether a file is a picture by its name, and not hidden."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not is_hidden(path)


def is_hidden(path: PurePath) -> bool:
    """Whether a file or folder, or one that it lies in, is none that people made."""
    # macOS puts a shadow of every file into __MACOSX.
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _product_of(entry: ZipInfo) -> str:
    """The product that an image belongs to: the folder it lies in.

    Raises:
        ValueError: it lies in none, or the name can't be an id.
    """
    parent = PurePosixPath(entry.filename).parent.name
    if not parent:
        raise ValueError("the image lies in no folder; its folder's name is its product's id")
    if not entry.flag_bits & _SAYS_UTF8:
        # macOS writes UTF-8 and does not say so.
        with suppress(UnicodeError):
            parent = parent.encode(_OLD_ENCODING).decode()
    return check_written_id(parent)


def _is_image(entry: ZipInfo) -> bool:
    link = stat.S_ISLNK(entry.external_attr >> 16)
    return is_picture(PurePosixPath(entry.filename)) and not (entry.is_dir() or link)


def _is_references(entry: ZipInfo) -> bool:
    return entry.filename.startswith(REFERENCES) and entry.filename.endswith(".jsonl")
