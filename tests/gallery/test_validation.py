from dataclasses import replace

import pytest

from gallery.errors import InvalidValue
from gallery.validation import (
    check_image,
    checked_count,
    checked_cursor,
    checked_metadata,
    checked_text,
)
from tests.gallery.samples import new_image


def deep(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("value", ["", None, 5, b"a", "\ud800"])
def test_text(value: object) -> None:
    assert checked_text("Käse 🧀\0/..", "name") == "Käse 🧀\0/.."
    with pytest.raises(InvalidValue, match="The name"):
        checked_text(value, "name")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 2**63, 1.0, True, "1", None])
def test_counts(value: object) -> None:
    assert checked_count(2**63 - 1, "width") == 2**63 - 1
    with pytest.raises(InvalidValue, match="The width must be a whole number"):
        checked_count(value, "width")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "-1", "a", "1.5", "²"])
def test_cursors(value: str) -> None:
    assert checked_cursor("12") == 12
    assert checked_cursor("9" * 5000) == 2**63 - 1
    with pytest.raises(InvalidValue, match="cursor"):
        checked_cursor(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\ud800"},
        {"\udfff": 1},
        {"a": b"bytes"},
        {("a",): 1},
        {"a": 10**5000},
        deep(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_metadata_that_is_not_json(value: object) -> None:
    with pytest.raises(InvalidValue, match="metadata"):
        checked_metadata(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"content_sha256": "ab"},
        {"content_sha256": "G" * 64},
        {"content_sha256": "A" * 64},
        {"width": 0},
        {"height": 1.5},
        {"thumbnail": b""},
        {"thumbnail": "text"},
        {"id": ""},
        {"id": "A" * 32},
        {"id": "0" * 31},
        {"id": 7},
    ],
)
def test_images(fields: dict[str, object]) -> None:
    check_image(new_image("a"))
    with pytest.raises(InvalidValue):
        check_image(replace(new_image("a"), **fields))  # type: ignore[arg-type]
