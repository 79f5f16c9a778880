"""What a value must be before SQLite sees it, so that no caller meets SQLite's own errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gallery.errors import InvalidValue, UnknownProduct, VersionConflict
from gallery.records import ANY_VERSION, JSON, NewImage

_LARGEST = 2**63 - 1
_SHA256 = re.compile("[0-9a-f]{64}")
_IMAGE_ID = re.compile("[0-9a-f]{32}")


def checked_text(value: str, what: str) -> str:
    """A string that is not empty and that UTF-8 can hold."""
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"The {what} must be a string that is not empty.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidValue(f"The {what} is not valid Unicode ({error.reason}).") from error
    return value


def checked_count(value: int, what: str) -> int:
    """A whole number from 1 to what SQLite can hold."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise InvalidValue(f"The {what} must be a whole number from 1 up.")
    return value


def checked_cursor(cursor: str) -> int:
    """The number that a cursor over the history stands for."""
    if not isinstance(cursor, str) or not cursor.isascii() or not cursor.isdigit():
        raise InvalidValue("The cursor must be the next cursor of the page before.")
    # As text first: digits by the thousand are slow to turn into a number.
    return int(cursor) if len(cursor) < len(str(_LARGEST)) else _LARGEST


def checked_metadata(metadata: Mapping[str, JSON]) -> str:
    """Metadata as JSON text."""
    if not isinstance(metadata, Mapping):
        raise InvalidValue("The metadata must be a JSON object.")
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False)
        text.encode()
    # NaN, lone surrogates and whole numbers of thousands of digits are ValueErrors.
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"The metadata can't be stored as JSON: {error}.") from error
    return text


def check_image(image: NewImage) -> None:
    """Everything of a new image but its vectors. Raises InvalidValue."""
    digest = checked_text(image.content_sha256, "content_sha256")
    if not _SHA256.fullmatch(digest):
        raise InvalidValue("The content_sha256 must be 64 hexadecimal digits in lower case.")
    checked_count(image.width, "width")
    checked_count(image.height, "height")
    if not isinstance(image.thumbnail, bytes) or not image.thumbnail:
        raise InvalidValue("The thumbnail must be the bytes of a JPEG.")
    if image.id is not None and not _IMAGE_ID.fullmatch(checked_text(image.id, "image id")):
        raise InvalidValue("The image id must be 32 hexadecimal digits in lower case.")


def check_version(product_id: str, expected: int | None, actual: int) -> None:
    """None agrees with every version; 0 is that of a product that doesn't exist.

    Raises VersionConflict, or UnknownProduct where any version will do and there is none.
    """
    if expected == ANY_VERSION:
        if not actual:
            raise UnknownProduct(product_id)
    elif expected is not None and actual != expected:
        raise VersionConflict(product_id, expected, actual)
