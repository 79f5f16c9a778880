"""What an engine makes of a network's files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32] | NDArray[np.int32] | NDArray[np.int64]
Feeds: TypeAlias = Mapping[str, NDArray[np.float32]]


class Network(Protocol):
    """A network on an engine, ready to run in one thread. Raises whatever its engine raises."""

    ENGINE: str

    def __init__(self, model: Path, params: Path, threads: int, half: bool) -> None:
        """From its files, `half`: in bfloat16."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Their names."""

    def run(self, feeds: Feeds) -> list[Array]:
        """One forward pass of contiguous arrays; outputs, in their order, are copies."""

    @staticmethod
    def cause(message: str) -> str:
        """What an error's message says, without what only the engine's authors need."""
