"""Image files made to do harm, each by its name: what a stranger with a keyboard would send."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image, PngImagePlugin

from tests.app import pictures

PNG = b"\x89PNG\r\n\x1a\n"
BLANK = Image.new("RGB", (64, 64), "red")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG of these chunks behind its header, whatever they are."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    """So many zeros in a thousandth of the bytes."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)) + (
        packer.flush()
    )


def rows(width: int, height: int) -> bytes:
    """The pixels of a whole picture, all black."""
    return png_chunk(b"IDAT", zeros((width * 3 + 1) * height + 1_000_000))


def jpeg_with(marker: int, content: bytes) -> bytes:
    """A good JPEG with one more segment behind its first marker."""
    data = pictures.encode(BLANK, "JPEG")
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return data[:2] + segment + data[2:]


def jpeg_of_scans(side: int, count: int) -> bytes:
    """A progressive JPEG that has its second scan over and over."""
    data = pictures.encode(Image.new("RGB", (side, side), "red"), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    end = second + 12
    while data[end] != 0xFF or data[end + 1] == 0:
        end += 1
    return data[:second] + data[second:end] * count + b"\xff\xd9"


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose frame header promises another size than its data have."""
    data = bytearray(pictures.encode(BLANK, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A JPEG with EXIF entries (tag, type, count, four bytes of value or offset)."""
    table = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        table += struct.pack("<HHI", tag, kind, count) + value
    return jpeg_with(0xE1, b"Exif\0\0II*\0" + struct.pack("<I", 8) + table + bytes(4))


def gif_of_size(width: int, height: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return head + frame + b"\x02\x02\x4c\x01\x00\x3b"


def bmp_of_size(width: int, height: int, *, bits: int = 24, compression: int = 0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info + bytes(100)


def webp_of_size(width: int, height: int, *, animated: bool = False) -> bytes:
    flags = 0x02 if animated else 0x00
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + size
    frame = pictures.encode(BLANK, "WEBP")[12:]
    body = b"WEBP" + extended + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png_text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    for number in range(70):
        info.add_text(f"t{number}", "x" * 1_000_000, zip=True)
    return pictures.encode(BLANK, pnginfo=info)


def png_profiles(count: int) -> bytes:
    """A PNG of so many colour profiles, each a megabyte of zeros."""
    return png(64, 64, png_chunk(b"iCCP", b"p\0\0" + zeros(1_000_000)) * count, rows(64, 64))


def png_in_parts(size: int) -> bytes:
    """A PNG of noise whose pixels are in chunks of so many bytes."""
    noise = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pictures.noise(1)))
    height, width = pictures.noise(1).shape[:2]
    parts = (noise[at : at + size] for at in range(0, len(noise), size))
    return png(width, height, *(png_chunk(b"IDAT", part) for part in parts))


def gif_with(block: bytes) -> bytes:
    """A good GIF with these bytes before its first frame."""
    data = pictures.encode(BLANK.convert("P"), "GIF")
    frame = data.index(b",\0\0\0\0")
    return data[:frame] + block + data[frame:]


def bmp_of_runs(side: int) -> bytes:
    """A grey BMP packed in runs of a single pixel."""
    runs = (b"\1\7" * side + b"\0\0") * side
    greys = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + info + greys + runs


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def spoilt(data: bytes) -> bytes:
    """Every 37th byte behind the header is another."""
    changed = bytearray(data)
    for place in range(100, len(changed), 37):
        changed[place] ^= 0xA5
    return bytes(changed)


# What a reader takes piece by piece, for next to no bytes each.
OF_MANY_PARTS: dict[str, Callable[[], bytes]] = {
    "png of 300,000 empty chunks": lambda: png(
        64, 64, png_chunk(b"aaAa", b"") * 300_000, rows(64, 64)
    ),
    "png with 300,000 empty chunks behind its pixels": lambda: png(
        64, 64, rows(64, 64), png_chunk(b"aaAa", b"") * 300_000
    ),
    "png of 300,000 empty chunks of pixels": lambda: png(
        64, 64, png_chunk(b"IDAT", b"") * 300_000, rows(64, 64)
    ),
    "gif of 300,000 comments": lambda: gif_with(b"!\xfe\x01a\0" * 300_000),
    "gif of a comment in 300,000 parts": lambda: gif_with(b"!\xfe" + b"\x01a" * 300_000 + b"\0"),
    "gif of 300,000 bytes that mean nothing": lambda: gif_with(b"\x01" * 300_000),
    "bmp of 160,000 runs": lambda: bmp_of_runs(400),
}
# What takes long to make is made when it is asked for.
HOSTILE: dict[str, Callable[[], bytes]] = {
    **OF_MANY_PARTS,
    "png of 1,000 profiles": lambda: png_profiles(1_000),
    "png bomb, header only": lambda: pictures.png_header_only(60_000, 60_000),
    "png bomb, all of it": lambda: png(30_000, 30_000, rows(3_000, 3_000)),
    "png of no size": lambda: png(0, 0, rows(10, 10)),
    "png of the greatest size": lambda: png(2**31 - 1, 2**31 - 1),
    "png whose size overflows": lambda: png(2**32 - 1, 2**32 - 1),
    "png with more pixels than its header says": lambda: png(64, 64, rows(20_000, 5_000)),
    "png without pixels": lambda: png(64, 64),
    "png with a profile that unpacks to 100 MB": lambda: png(
        64, 64, png_chunk(b"iCCP", b"p\0\0" + zeros(100_000_000)), rows(64, 64)
    ),
    "png with text that unpacks to 70 MB": png_text_bomb,
    "png with a wrong checksum": lambda: pictures.encode(BLANK)[:-5] + b"xxxxx",
    "png with a chunk longer than the file": lambda: PNG + b"\x7f\xff\xff\xffIHDR" + bytes(40),
    "png of depth 16 and colour 7": lambda: png(64, 64, rows(64, 64), depth=16, colour=7),
    "animated png with 10,000 frames to come": lambda: png(
        64, 64, png_chunk(b"acTL", struct.pack(">II", 10_000, 0)), rows(64, 64)
    ),
    "jpeg of 65535 a side": lambda: jpeg_of_size(65_535, 65_535),
    "jpeg of no height": lambda: jpeg_of_size(64, 0),
    "jpeg of 1000 scans": lambda: jpeg_of_scans(2_000, 1_000),
    "jpeg of a million comments": lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000,
    "jpeg with a profile of nonsense": lambda: jpeg_with(
        0xE2, b"ICC_PROFILE\0\1\1" + b"\xff" * 900
    ),
    "jpeg with profile 1 of 255": lambda: jpeg_with(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(128)),
    "jpeg with a segment of no length": lambda: b"\xff\xd8\xff\xe1\0\0" + bytes(100),
    "exif that points to itself": lambda: exif((0x8769, 4, 1, struct.pack("<I", 8))),
    "exif that points outside": lambda: exif((0x8769, 4, 1, struct.pack("<I", 2**32 - 1))),
    "exif with four billion values": lambda: exif((0x010F, 2, 2**32 - 1, b"\x08\0\0\0")),
    "exif turned by 99": lambda: exif((0x0112, 3, 1, struct.pack("<HH", 99, 0))),
    "exif turned by a text": lambda: exif((0x0112, 2, 4, b"six\0")),
    "exif turned by two numbers": lambda: exif((0x0112, 3, 2, struct.pack("<HH", 6, 8))),
    "exif turned by a fraction": lambda: exif((0x0112, 5, 1, struct.pack("<I", 8))),
    "exif of nothing": lambda: jpeg_with(0xE1, b"Exif\0\0"),
    "exif of noise": lambda: jpeg_with(0xE1, b"Exif\0\0MM\0*" + bytes(range(256)) * 4),
    "gif of 65535 a side": lambda: gif_of_size(65_535, 65_535),
    "gif without pixels": lambda: gif_of_size(64, 64),
    "gif of 500 frames": lambda: pictures.encode(
        BLANK, "GIF", save_all=True, append_images=[pictures.quarters(64, 64)] * 500
    ),
    "bmp of two billion a side": lambda: bmp_of_size(2**31 - 1, 2**31 - 1),
    "bmp of negative size": lambda: bmp_of_size(-64, -64),
    "bmp packed in a way there is not": lambda: bmp_of_size(64, 64, compression=99),
    "bmp of 0 bits": lambda: bmp_of_size(64, 64, bits=0),
    "webp of 16384 a side": lambda: webp_of_size(16_384, 16_384),
    "animated webp of 16 million a side": lambda: webp_of_size(2**24, 2**24, animated=True),
    "a web page": lambda: b"<html><script>alert(1)</script></html>",
    "an svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
    "a script for ghostscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
    "a tiff": lambda: pictures.encode(BLANK, "TIFF"),
    "an icon": lambda: pictures.encode(BLANK, "ICO"),
    "a picture that is also a zip": lambda: pictures.encode(BLANK) + b"PK\x05\x06" + bytes(18),
    "a picture that is also a page": lambda: jpeg_with(0xFE, b"<script>alert(1)</script>"),
    "a zip": lambda: b"PK\x03\x04" + bytes(200),
    **{
        f"{kind} cut to {share:.0%}": lambda kind=kind, share=share: cut(
            pictures.encode(pictures.quarters(), kind), share
        )
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP")
        for share in (0.1, 0.5, 0.95)
    },
    **{
        f"{kind} with spoilt bytes": lambda kind=kind: spoilt(
            pictures.encode(Image.fromarray(pictures.noise(1)), kind)
        )
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP")
    },
}
