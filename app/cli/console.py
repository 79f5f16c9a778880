"""Printing: words as they are, for names of files and products may hold brackets."""

from rich.console import Console

_UNBROKEN = 100_000


def counted(count: int, one: str) -> str:
    """How many of something there are: 1 image, 2,000 images."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def console(*, stderr: bool = False) -> Console:
    """Where to print: lines are broken for a terminal only, so that a log can be searched."""
    made = Console(stderr=stderr, markup=False, highlight=False)
    if not made.is_terminal:
        made.width = _UNBROKEN
    return made
