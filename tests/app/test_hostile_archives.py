"""Archives made to do harm: read in little memory, refused as a whole or item by item."""

import io
import stat
import struct
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from app.images import FORMATS
from app.transfer.archive import (
    MOST_TABLE_BYTES,
    PICTURE_SUFFIXES,
    Archive,
    Picture,
    Refused,
    UnusableArchive,
)
from app.transfer.product_table import ProductRow
from tests.app import pictures

MOST_BYTES = 2_000_000


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries:
            file.writestr(name, data)
    return buffer.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def table(*rows: str) -> bytes:
    return zipped(("products.csv", "\n".join(("id,name,metadata", *rows)).encode()))


def overlapping(copies: int) -> bytes:
    """Many entries of the directory that are one and the same in the file (Fifield's bomb)."""
    data = bytearray(zipped(("p/1.jpg", bytes(1_000_000))))
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = bytes(data[start:end])
    directory = b"".join(
        entry.replace(b"p/1.jpg", f"p/{number}.jpg".encode()[:7].ljust(7, b"g"))
        for number in range(copies)
    )
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, copies, copies, len(directory), start, 0)
    return bytes(data[:start]) + directory + tail


def contents_alone(size: int, *, zip64: bool) -> bytes:
    """The end of a zip file that says that its table of contents, before it, has `size` bytes."""
    if not zip64:
        return struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, size, 0, 0)
    end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, size, 0)
    locator = struct.pack("<IIQI", 0x07064B50, 0, size, 1)
    return end + locator + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 2**32 - 1, 0, 0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "archive.zip"


def items(file: Path, data: bytes) -> list[ProductRow | Picture | Refused]:
    file.write_bytes(data)
    with Archive(file) as archive:
        found = list(archive.items())
        for item in found:
            if isinstance(item, Picture):
                try:
                    assert len(archive.read(item.entry, MOST_BYTES)) <= MOST_BYTES + 1
                except ValueError:
                    continue
    return found


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("../../../etc/cron.d/x.jpg", None),
        ("/etc/x.jpg", "etc"),
        ("C:\\Windows\\x.jpg", None),
        ("a/../x.jpg", None),
        ("a/./b/x.jpg", "b"),
        ("p\x00q/x.jpg", None),
        ("p\nq/x.jpg", None),
        ("p\u202eq/x.jpg", None),
        (" p/x.jpg", None),
        ("p" * 200 + "/x.jpg", None),
    ],
)
def test_a_path_is_never_more_than_a_name(file: Path, name: str, product: str | None) -> None:
    found = items(file, zipped((name, pictures.jpeg(1)), ("products.csv", b"id\n")))
    assert [item.product for item in found if isinstance(item, Picture)] == [product] * bool(
        product
    )
    assert list(file.parent.iterdir()) == [file]


def test_a_link_is_not_followed(file: Path) -> None:
    data = zipped((link("p/passwd.jpg"), b"/etc/passwd"), ("p/1.jpg", pictures.jpeg(1)))
    (item,) = items(file, data)
    assert isinstance(item, Picture)
    assert item.entry.filename == "p/1.jpg"


def test_a_bomb_is_read_up_to_the_limit(file: Path) -> None:
    file.write_bytes(zipped(("p/1.jpg", bytes(400_000_000))))
    assert file.stat().st_size < 500_000
    tracemalloc.start()
    with Archive(file) as archive:
        (item,) = archive.items()
        assert isinstance(item, Picture)
        assert len(archive.read(item.entry, MOST_BYTES)) == MOST_BYTES + 1
    assert tracemalloc.get_traced_memory()[1] < 5 * MOST_BYTES
    tracemalloc.stop()


def test_entries_that_lie_over_each_other_cost_one_read_each(file: Path) -> None:
    try:
        found = items(file, overlapping(500))
    except UnusableArchive:
        return
    assert len(found) <= 500


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(
    ("entry", "size", "why"),
    [(b"PK\x01\x02" + bytes(42), 1_250_001 * 46, "1,250,001 entries"), (b"", 2**30, "table of")],
    ids=["of too many entries", "of too many bytes"],
)
def test_a_table_of_contents_is_refused_before_it_is_taken_up(
    file: Path, entry: bytes, size: int, why: str, zip64: bool
) -> None:
    with file.open("wb") as written:
        written.write(entry * (size // 46) if entry else b"")
        written.seek(size)
        written.write(contents_alone(size, zip64=zip64))
    tracemalloc.start()
    with pytest.raises(UnusableArchive, match=why):
        Archive(file)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


def test_every_ending_of_a_format_that_is_read_is_a_picture() -> None:
    kinds = {*FORMATS, "MPO"}
    endings = {name for name, kind in Image.registered_extensions().items() if kind in kinds}
    assert endings <= PICTURE_SUFFIXES


def test_a_zip_in_a_zip_is_not_opened(file: Path) -> None:
    inner = zipped(("p/1.jpg", pictures.jpeg(1)))
    with pytest.raises(UnusableArchive, match="neither images"):
        items(file, zipped(("inner.zip", inner)))


def test_a_size_that_is_a_lie_is_an_error_of_the_item(file: Path) -> None:
    data = zipped(("p/1.jpg", pictures.jpeg(1)))
    place = data.index(b"PK\x01\x02") + 24
    file.write_bytes(data[:place] + struct.pack("<I", 10) + data[place + 4 :])
    with Archive(file) as archive:
        (item,) = archive.items()
        assert isinstance(item, Picture)
        with pytest.raises(ValueError, match="can't be read"):
            archive.read(item.entry, MOST_BYTES)


@pytest.mark.parametrize(
    "row",
    [
        '1,x,"' + "[" * 60_000 + '"',
        '1,x,"' + '{""a"":' * 30_000 + '"',
        "1,x," + "9" * 200_000,
        '1,x,"{""a"": 1e999}"',
        "1,x,NaN",
        '1,"two\nlines",',
        "../../etc,x,",
        "1," + "x" * 300 + ",",
        '"1\x00",x,',
        "1,Juice, orange,{}",
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1") + "\x1b[2J,x,",
    ],
    ids=["deep list", "deep object", "long field", "infinity", "nan", "two lines", "slash",
         "long name", "nul", "more cells", "escape"],
)  # fmt: skip
def test_a_row_that_is_wrong_is_refused_alone(file: Path, row: str) -> None:
    found = items(file, table("0,Good,", row))
    assert isinstance(found[0], ProductRow)
    (refused,) = found[1:]
    assert isinstance(refused, Refused)
    assert len(str(refused.error)) < 500


def test_what_can_not_be_seen_in_a_row_is_told(file: Path) -> None:
    good, *refused = items(file, table("0,1\u00a0l,", "1,a\u0085b,", "2\u00a0,x,", "2\u00a03,x,"))
    assert isinstance(good, ProductRow)
    assert good.name == "1\u00a0l"
    assert [str(item.error) for item in refused if isinstance(item, Refused)] == [
        "name: U+0085 is not allowed",
        "id: U+00A0 (NO-BREAK SPACE) is not allowed in an id",
    ]


@pytest.mark.parametrize(
    "header",
    [b"id,name,aisle", b"id;name;aisle", b"id\tname\taisle", b"ID, Name ,aisle",
     b'\xef\xbb\xbf"Id";"NAME";"aisle"'],
    ids=["commas", "semicolons", "tabs", "capitals", "byte order mark"],
)  # fmt: skip
def test_a_table_is_read_as_spreadsheets_write_it(file: Path, header: bytes) -> None:
    separator = next(mark for mark in (b",", b";", b"\t") if mark in header)
    row = separator.join((b"1", '"Müsli, fein; 1 kg"'.encode(), b"3"))
    (found,) = items(file, zipped(("products.csv", header + b"\r\n" + row + b"\r\n")))
    assert isinstance(found, ProductRow)
    assert (found.id, found.name, found.columns) == ("1", "Müsli, fein; 1 kg", {"aisle": "3"})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("id,name\n1,Brot\n2,Müsli\n3,Käse\n".encode("cp1252"), "line 3 is not UTF-8"),
        ("id,name\r1,Müsli\r".encode("cp1252"), "line 2 is not UTF-8"),
        ("id\tname\n1\tMüsli\n".encode("utf-16"), "it is UTF-16"),
        (b"EAN,name\n1,Juice\n2,Bread\n", "no column id: 'EAN,name'"),
        (b"1,Juice\n2,Bread\n", "no column id: '1,Juice'"),
        (b"", "no column id: ''"),
        (b"x" * (MOST_TABLE_BYTES + 1), "split it"),
        (b"id" + b",x" * 1000 + b"\n1\n2\n", "1,001 columns; at most 1,000"),
    ],
    ids=[
        "Windows-1252",
        "of a Mac",
        "UTF-16",
        "no id",
        "no header",
        "empty",
        "too long",
        "too wide",
    ],
)
def test_a_table_that_is_none_is_refused_once(file: Path, table: bytes, says: str) -> None:
    (found,) = items(file, zipped(("shop/products.csv", table)))
    assert isinstance(found, Refused)
    assert found.place == "shop/products.csv"
    assert says in str(found.error)


@pytest.mark.parametrize("says_utf8", [True, False])
def test_folders_of_a_mac_are_the_products_of_the_table(file: Path, says_utf8: bool) -> None:
    apart = unicodedata.normalize("NFD", "café")
    assert apart != "café"
    data = zipped(
        (f"{apart}/1.jpg", pictures.jpeg(1)),
        ("products.csv", f"id\ncafé\n{apart}\n".encode()),
    )
    if not says_utf8:
        # Bit 11 of the flags, in the entry's own header and in the directory.
        for mark, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
            start = data.index(mark) + place
            data = data[:start] + bytes([data[start] & ~8]) + data[start + 1 :]
    first, second, picture = items(file, data)
    assert isinstance(first, ProductRow)
    assert isinstance(second, ProductRow)
    assert isinstance(picture, Picture)
    assert first.id == second.id == picture.product == "café"


def test_a_name_in_the_first_code_page_is_read_as_such(file: Path) -> None:
    data = zipped(("cafXX/1.jpg", pictures.jpeg(1))).replace(b"cafXX", b"caf\x82\x8a")
    (picture,) = items(file, data)
    assert isinstance(picture, Picture)
    assert picture.product == "caféè"


def test_ids_of_what_was_not_decoded_are_refused(file: Path) -> None:
    data = zipped(
        ("products.csv", "id\ncaf\ufffd\n".encode()), ("caf\ufffd/1.jpg", pictures.jpeg(1))
    )
    for refused in items(file, data):
        assert isinstance(refused, Refused)
        assert "U+FFFD" in str(refused.error)


def test_an_encrypted_archive_is_refused(file: Path) -> None:
    data = bytearray(zipped(("p/1.jpg", pictures.jpeg(1))))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UnusableArchive, match="encrypted"):
        items(file, bytes(data))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_part_of_an_archive_is_none(file: Path, share: float) -> None:
    data = zipped(("p/1.jpg", pictures.jpeg(1)))
    with pytest.raises(UnusableArchive):
        items(file, data[: int(len(data) * share)])
