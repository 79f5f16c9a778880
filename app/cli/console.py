"""Where commands print: words as they are, for names of files and products may hold brackets."""

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, markup=False, highlight=False)
