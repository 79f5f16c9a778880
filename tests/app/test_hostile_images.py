"""Files made to do harm: each is refused or decoded, in little memory and no more time."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from app.images import DamagedImage, ImageError, ImageLimits, ImageTooLarge, decode
from tests.app import pictures
from tests.app.hostile import (
    HOSTILE,
    OF_MANY_PARTS,
    bmp_of_runs,
    gif_with,
    jpeg_of_scans,
    jpeg_with,
    png_in_parts,
    png_profiles,
)
from tests.app.problems import assert_problem

LIMITS = ImageLimits(max_bytes=20_000_000, max_pixels=50_000_000, min_side=16)
# Decoding the largest picture that is allowed takes several times its pixels.
MOST_MEGABYTES = 200

MEASURE = """
import json, sys
from app.images import ImageError, decode
from tests.app.hostile import HOSTILE
from tests.app.test_hostile_images import LIMITS, peak

grown = {}
for name, make in HOSTILE.items():
    data = make()
    before = peak()
    try:
        decode(data, LIMITS)
    except ImageError:
        pass
    grown[name] = peak() - before
json.dump(grown, sys.stdout)
"""
MEASURE_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from app.images import decode
from models.allocation import keep_freed_memory
from tests.app.test_hostile_images import LIMITS, peak

keep_freed_memory()  # as the service does
files = [Path(name).read_bytes() for name in sys.argv[1:]]
before = peak()
with ThreadPoolExecutor(len(files)) as pool:
    images = list(pool.map(lambda data: decode(data, LIMITS), files))
print(peak() - before)
"""


def peak() -> float:
    """The most memory that this process has had resident, in MB; what it was started by apart."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_or_decoded(name: str) -> None:
    data = HOSTILE[name]()
    try:
        image = decode(data, LIMITS)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert min(image.shape[:2]) >= LIMITS.min_side


def test_none_takes_much_memory() -> None:
    measured = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEASURE], capture_output=True, text=True, timeout=250
    )
    assert measured.returncode == 0, measured.stderr
    grown = json.loads(measured.stdout)
    assert grown.keys() == HOSTILE.keys()
    assert {name: size for name, size in grown.items() if size > MOST_MEGABYTES} == {}


@pytest.mark.parametrize("name", OF_MANY_PARTS)
def test_no_more_parts_are_read_than_a_picture_has(name: str) -> None:
    with pytest.raises(DamagedImage, match="100,000 parts"):
        decode(OF_MANY_PARTS[name](), LIMITS)


def test_what_programs_write_has_few_enough_parts() -> None:
    for data in (
        png_in_parts(100),
        png_profiles(1),
        gif_with(b"!\xfe" + b"\xff" * 256 * 4_000 + b"\0"),
        bmp_of_runs(200),
    ):
        assert decode(data, LIMITS).shape[2] == 3


def test_a_png_has_one_profile() -> None:
    with pytest.raises(DamagedImage, match="profiles"):
        decode(png_profiles(20), LIMITS)


@pytest.mark.parametrize(
    "kinds",
    [["RGBA WEBP"], ["CMYK JPEG"], ["RGBA PNG", "P GIF", "RGB WEBP", "RGBA WEBP"]],
    ids=" and ".join,
)
def test_large_ones_take_the_memory_of_one(kinds: list[str], tmp_path: Path) -> None:
    for kind in kinds:
        mode, name = kind.split()
        (tmp_path / kind).write_bytes(pictures.encode(Image.new(mode, (4000, 4000)), name))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE_AT_ONCE, *(str(tmp_path / kind) for kind in kinds)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert measured.returncode == 0, measured.stderr
    # What Pillow needs for one and a little more, and what each is decoded to.
    assert float(measured.stdout) * 2**20 < 4000 * 4000 * (20 + 3 * (len(kinds) - 1))


@pytest.mark.parametrize(
    "name", ["png bomb, all of it", "jpeg of 65535 a side", "gif of 65535 a side"]
)
def test_a_promise_of_too_many_pixels_is_enough(name: str) -> None:
    with pytest.raises(ImageTooLarge):
        decode(HOSTILE[name](), LIMITS)


def test_a_jpeg_may_have_as_many_scans_as_encoders_write() -> None:
    picture = pictures.encode(pictures.quarters(), "JPEG", progressive=True)
    assert picture.count(b"\xff\xda") > 5
    assert decode(picture, LIMITS).shape == (40, 80, 3)
    with pytest.raises(ImageError, match="scans"):
        decode(jpeg_of_scans(64, 60), LIMITS)


@pytest.mark.parametrize(
    ("before", "hidden"),
    [
        (b"\xff\xd8", b"\xff\xd8\xff\xd9\xff\xd8"),
        (b"\xff\xda", b"garbage\xff\xff\xff\xda"),
        (b"\xff\xda", b"\xff\0\xff\xd0\xff\xda"),
        (b"\xff\xda", b"\xff\xfe\0\0\xff\xda"),
    ],
    ids=["tables alone", "garbage and fill", "markers of no length", "a length of nothing"],
)
def test_scans_are_found_wherever_the_decoder_finds_them(before: bytes, hidden: bytes) -> None:
    few, many = (jpeg_of_scans(64, count).replace(before, hidden) for count in (20, 60))
    assert decode(few, LIMITS).shape == (64, 64, 3)
    with pytest.raises(ImageError, match="scans"):
        decode(many, LIMITS)


def test_only_the_scans_of_the_picture_itself_count() -> None:
    other = jpeg_of_scans(64, 60)
    thumbnail = jpeg_with(0xE1, other)
    film = pictures.jpeg(1) + bytes(1000) + other
    assert decode(thumbnail, LIMITS).shape == (64, 64, 3)
    assert np.array_equal(decode(film, LIMITS), decode(pictures.jpeg(1), LIMITS))


def test_the_service_answers_each_and_goes_on(client: TestClient) -> None:
    for name in ("exif that points to itself", "a web page", "PNG cut to 50%", "an svg"):
        answer = client.post("/recognize", files={"image": HOSTILE[name]()})
        if not answer.is_success:
            assert_problem(answer, (413, 415, 422))
    assert client.post("/recognize", files={"image": pictures.jpeg(1)}).is_success
