"""Export a gallery: a zip that a person can look into and an import brings back as it was."""

import csv
import io
import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from app.checks import check_product_id
from app.transfer.archive import MOST_TABLE_BYTES, PRODUCTS
from app.transfer.export_format import MANIFEST, REFERENCES, Manifest, ReferenceLine
from gallery import Contents, Product, Reference

CHUNK_BYTES = 256 * 1024
LINES_A_FILE = 256


def export(contents: Contents) -> Iterator[bytes]:
    """The archive in pieces, made as they are taken.

    The same gallery makes the same bytes. What is held in memory is a piece and the zip's table of
    contents, about 700 bytes for each image.
    """
    sink = _Sink()
    with ZipFile(sink, "w") as archive:
        manifest = Manifest(
            fingerprint=contents.fingerprint,
            dimension=contents.dimension,
            revision=contents.revision,
            products=contents.product_count,
            images=contents.image_count,
        )
        archive.writestr(_entry(MANIFEST), manifest.model_dump_json(indent=2))
        for name, table in _tables(contents.products()):
            archive.writestr(_entry(name), table, ZIP_DEFLATED)
            yield sink.take()
        references = contents.references()
        number = 0
        while part := list(islice(references, LINES_A_FILE)):
            number += 1
            lines = []
            for reference in part:
                line = _picture(archive, reference)
                lines.append(f"{line.model_dump_json()}\n")
                if sink.tell() - sink.taken > CHUNK_BYTES:
                    yield sink.take()
            name = f"{REFERENCES}{number:06d}.jsonl"
            archive.writestr(_entry(name), "".join(lines), ZIP_DEFLATED)
            yield sink.take()
    yield sink.take()


def _picture(archive: ZipFile, reference: Reference) -> ReferenceLine:
    folder = _folder(reference.image.product_id)
    line = ReferenceLine.of(reference, f"images/{folder}/{reference.image.content_sha256}.jpg")
    # A JPEG is compressed already.
    archive.writestr(_entry(line.file), reference.thumbnail)
    return line


def _folder(product_id: str) -> str:
    try:
        return check_product_id(product_id)
    except ValueError:
        # Of a gallery that something else wrote to: a path would lead whoever unpacks it astray.
        return sha256(product_id.encode()).hexdigest()


def _tables(products: Iterator[Product]) -> Iterator[tuple[str, str]]:
    """The name and text of `products.csv`, and of others behind it when it would get too long."""
    number = 1
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("id", "name", "metadata"))
    for product in products:
        # A character is up to four bytes, and a row is short.
        if text.tell() > MOST_TABLE_BYTES // 8:
            yield _table_name(number), text.getvalue()
            number += 1
            text.seek(0)
            text.truncate()
            writer.writerow(("id", "name", "metadata"))
        metadata = json.dumps(product.metadata, ensure_ascii=False)
        writer.writerow((product.id, product.name, metadata))
    yield _table_name(number), text.getvalue()


def _table_name(number: int) -> str:
    return PRODUCTS if number == 1 else f"products-{number}/{PRODUCTS}"


def _entry(name: str) -> ZipInfo:
    # Without a time of its own, so that the same gallery makes the same archive.
    entry = ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry


class _Sink(io.BytesIO):
    """Holds what a ZipFile wrote since the last `take`.

    A ZipFile that may seek goes back to the head of the entry it has just written, never further,
    and writes its size and checksum there, where every tool looks for them.
    """

    taken = 0

    def take(self) -> bytes:
        piece = self.getvalue()
        self.taken += len(piece)
        super().seek(0)
        self.truncate()
        return piece

    def tell(self) -> int:
        return self.taken + super().tell()

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only from the start")
        return self.taken + super().seek(position - self.taken)
