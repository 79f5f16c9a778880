"""What the training programs share: options, and an ending in words.

Options are checked so that nonsense is told before a run begins.
"""

import sys
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from models.errors import ModelError


def start(main: Callable[..., None]) -> None:
    """Run a program on the command line's arguments; what goes wrong is a line, no traceback."""
    try:
        typer.run(main)
    except (ModelError, OSError) as error:
        sys.exit(f"Error: {error}")


def positive(value: float | None) -> float | None:
    """Refuse 0, which ranges include, and what is no finite number."""
    if value is not None and not (isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a number above 0.")
    return value


def multiple_of(step: int) -> Callable[[int | None], int | None]:
    """Refuse what is no multiple of `step`."""

    def check(value: int | None) -> int | None:
        if value is not None and value % step:
            raise typer.BadParameter(f"{value} is not a multiple of {step}.")
        return value

    return check


_TO = typer.Option(help="Folder of the pack to write; may be the same.")
To = Annotated[Path, _TO]
PerhapsTo = Annotated[Path | None, _TO]
Run = Annotated[Path, typer.Option(help="Folder for checkpoints and the log.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads that read and change images.")]
Licence = Annotated[str, typer.Option(help="Of the trained weights.")]
# At most ten: far above what trains with any batch.
LearningRate = Annotated[
    float | None,
    typer.Option(
        max=10, callback=positive, help="By default the published one, scaled to the batch."
    ),
]
