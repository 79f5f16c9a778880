"""Fuzzes the reading of archives: python -m tests.fuzz.archives -runs=1000000.

An input is a zip file or, so that what is in it changes as well, entries that one is made of.
Anything but items, UnusableArchive or ValueError for an entry is a crash, more than a second a
hang.
"""

import io
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["app.transfer.archive", "app.checks", "app.transfer.product_table", "zipfile"]
):
    import zipfile

    from app.transfer.archive import Archive, Picture, Refused, UnusableArchive

from app.transfer.export_format import Manifest, ReferenceLine
from tests.app import pictures
from tests.fuzz.seeds import run

MOST_BYTES = 100_000
FILE = Path(tempfile.mkdtemp(dir="/dev/shm")) / "archive.zip"
ZIP = b"PK"
# Between entries; the first line of one is its name.
NEXT = b"\xff\xff\n"


def target(data: bytes) -> None:
    FILE.write_bytes(data if data.startswith(ZIP) else zipped(entries(data)))
    try:
        with Archive(FILE) as archive:
            for item in archive.items():
                if isinstance(item, Picture):
                    with suppress(ValueError):
                        picture = archive.read(item.entry, MOST_BYTES)
                        assert len(picture) <= MOST_BYTES + 1
                        if item.line is not None and item.line.describes(picture):
                            item.line.image(picture)
                elif isinstance(item, Refused):
                    assert str(item.error)
    except UnusableArchive:
        pass


def entries(data: bytes) -> dict[str, bytes]:
    found = (part.partition(b"\n")[::2] for part in data.split(NEXT))
    return {name.decode(errors="replace")[:1000]: content for name, content in found if name}


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in entries.items():
            # With a date of its own: the clock's would make the same input another one.
            file.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


if __name__ == "__main__":
    picture = pictures.encode(pictures.quarters(16, 16), "PNG")
    shop = {
        "shop/products.csv": b'id,name,metadata,store\n1,Juice,"{""a"": 1}",north\n',
        "shop/1/front.png": picture,
        "shop/../../etc/passwd.png": picture,
    }
    line = ReferenceLine(
        file="1/a.jpg",
        file_sha256=sha256(b"a").hexdigest(),
        product="1",
        id="0" * 32,
        content_sha256="0" * 64,
        width=1,
        height=1,
        vectors=["AAAA"],
    )
    manifest = Manifest(fingerprint="f", dimension=2, revision=1, products=1, images=1)
    export = {
        "gallery.json": manifest.model_dump_json().encode(),
        "references/0.jsonl": line.model_dump_json().encode(),
        "1/a.jpg": b"a",
        "products.csv": b"id,name\n1,Juice\n",
    }
    written = (NEXT.join(b"\n".join((n.encode(), d)) for n, d in e.items()) for e in (shop, export))
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    run(target, [*(zipped(e, kind) for e in (shop, export) for kind in kinds), *written])
