"""What came from outside, on a terminal: shown there, not obeyed."""

import unicodedata

from app.checks import OVERRIDES


def shown(text: str) -> str:
    r"""One line, in which a terminal finds no controls and no other direction of text.

    They are written as JSON writes them (`\u001b`), so that JSON stays what it is.
    """
    return "".join(f"\\u{ord(c):04x}" if _is_obeyed(c) else c for c in text)


def shown_lines(text: str) -> str:
    """The same of text that has lines."""
    return "\n".join(map(shown, text.split("\n")))


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or character in OVERRIDES
