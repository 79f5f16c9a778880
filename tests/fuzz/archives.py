"""Fuzzes the reading of archives: python -m tests.fuzz.archives -runs=1000000.

Anything but entries, UnusableArchive or ValueError for an entry is a crash, more than a second a
hang.
"""

import io
import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["app.archive", "app.checks", "zipfile", "csv"]):
    from app.archive import Archive, Picture, Refused, UnusableArchive

from tests.app import pictures
from tests.fuzz.seeds import run

MOST_BYTES = 100_000
FILE = Path(tempfile.mkdtemp(dir="/dev/shm")) / "archive.zip"


def target(data: bytes) -> None:
    FILE.write_bytes(data)
    try:
        with Archive(FILE) as archive:
            for item in archive.items():
                if isinstance(item, Picture):
                    with suppress(ValueError):
                        assert len(archive.read(item.entry, MOST_BYTES)) <= MOST_BYTES + 1
                elif isinstance(item, Refused):
                    assert str(item.error)
    except UnusableArchive:
        pass


def zipped(entries: dict[str, bytes], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


if __name__ == "__main__":
    picture = pictures.encode(pictures.quarters(16, 16), "PNG")
    shop = {
        "shop/products.csv": b'id,name,metadata,store\n1,Juice,"{""a"": 1}",north\n',
        "shop/1/front.png": picture,
        "shop/../../etc/passwd.png": picture,
        "export.json": json.dumps({"format": 1}).encode(),
    }
    run(target, [zipped(shop, kind) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)])
