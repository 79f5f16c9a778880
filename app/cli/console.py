"""Printing: words as they are, for names of files and products may hold brackets."""

from rich.console import Console


def counted(count: int, one: str) -> str:
    """How many of something there are: 1 image, 2,000 images."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, markup=False, highlight=False)
