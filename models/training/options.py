"""What training programs ask of their options, so that nonsense is told before a run begins."""

from collections.abc import Callable
from math import isfinite
from typing import Annotated

import typer


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


# At most ten: far above what trains with any batch.
LearningRate = Annotated[
    float | None,
    typer.Option(
        max=10, callback=positive, help="By default the published one, scaled to the batch."
    ),
]
