"""What a client may store: bounds on ids, names and metadata, kept as data and nothing else."""

import json
import math
import unicodedata
from collections.abc import Mapping

from pydantic import JsonValue

MAX_ID_LENGTH = 128
MAX_NAME_LENGTH = 256
MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_DEPTH = 8

# By category: controls, halves of characters, what no standard knows, ends of lines.
_NO_TEXT = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
# They have text read in another order than it is stored in: one name could pass for another.
OVERRIDES = {*"\u202a\u202b\u202c\u202d\u202e", *"\u2066\u2067\u2068\u2069"}


def check_product_id(value: str) -> str:
    """A product id can stand in a path: printable, no slash, not a dot segment."""
    check_name(value)
    if len(value) > MAX_ID_LENGTH:
        raise ValueError(f"an id has at most {MAX_ID_LENGTH} characters")
    # Two ids that look the same would be two products.
    for character in value:
        if not character.isprintable():
            raise ValueError(f"{_told(character)} is not allowed in an id")
    if "/" in value or "\\" in value or value in (".", ".."):
        raise ValueError("an id holds no slash or backslash and is not '.' or '..'")
    return value


def check_new_id(value: str) -> str:
    """The id of a product to come. One of old may hold U+FFFD: it can be read, exported, deleted.

    Whoever decodes bytes that are not UTF-8 puts U+FFFD in their place: `café` and `cafè` in
    Latin-1 would be one id.
    """
    if "\ufffd" in value:
        raise ValueError(
            "an id holds no U+FFFD, which stands for text that was not UTF-8: send UTF-8"
        )
    return check_product_id(value)


def check_written_id(value: str) -> str:
    """The new id that a folder or a table has, composed (NFC): Macs take folders' letters apart."""
    return check_new_id(unicodedata.normalize("NFC", value))


def check_name(value: str) -> str:
    """One line of text, without white space around it.

    Invisible characters are text, too: Persian and emoji join letters by them, French keeps `1 l`
    together.
    """
    if not 1 <= len(value) <= MAX_NAME_LENGTH:
        raise ValueError(f"1 to {MAX_NAME_LENGTH} characters are allowed")
    for character in value:
        if unicodedata.category(character) in _NO_TEXT or character in OVERRIDES:
            raise ValueError(f"{_told(character)} is not allowed")
    if not any(map(str.isprintable, value)):
        raise ValueError("nothing in it can be seen")
    if value != value.strip():
        raise ValueError("no white space at the start or end")
    return value


def _told(character: str) -> str:
    # By number: in a spreadsheet it can't be seen. Controls have no name.
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name})" if name else "")


def check_metadata(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """JSON of bounded depth and size, with finite numbers and text that UTF-8 can hold."""
    _check_value(value, MAX_METADATA_DEPTH)
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"metadata has {size:,} bytes; at most {MAX_METADATA_BYTES:,} are kept")
    return value


def words_of(error: Mapping[str, object]) -> str:
    """What one of a ValidationError's errors says, without what pydantic puts before our words."""
    return str(error["msg"]).removeprefix("Value error, ")


def _check_value(value: JsonValue, depth: int) -> None:
    if depth < 0:
        raise ValueError(f"metadata is nested deeper than {MAX_METADATA_DEPTH} levels")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_value(key, depth)
            _check_value(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, depth - 1)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("text must be valid Unicode") from None
