"""Printing: words as they are, for names of files and products may hold brackets, and worse."""

from typing import Any

from rich.console import Console
from rich.text import Text

from app.terminal import shown_lines

_UNBROKEN = 100_000


class _Console(Console):
    """Has all words that it is given shown, in tables, too; lines may end in them."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(shown_lines(text), **how)


def counted(count: int, one: str) -> str:
    """How many of something there are: 1 image, 2,000 images."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def console(*, stderr: bool = False) -> Console:
    """Where to print: lines are broken for a terminal only, so that a log can be searched."""
    made = _Console(stderr=stderr, markup=False, highlight=False)
    if not made.is_terminal:
        made.width = _UNBROKEN
    return made


def print_json(data: Any) -> None:
    """For programs, in ASCII: what is in it a terminal does not obey."""
    console().print_json(data=data, ensure_ascii=True)
