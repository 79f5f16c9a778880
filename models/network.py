"""What an engine makes of a network's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32] | NDArray[np.int32] | NDArray[np.int64]
Feeds: TypeAlias = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a run, under the name the export gave it."""

    name: str
    value: Array


class Network(Protocol):
    """A network that is ready to run, in one thread. Raises whatever its engine raises."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Their names."""

    def run(self, feeds: Feeds) -> list[Output]:
        """One forward pass of contiguous arrays; outputs are copies."""


class EngineModule(Protocol):
    """What a module of an engine has."""

    NAME: str

    def load(self, model: Path, params: Path, threads: int, half: bool) -> Network:
        """A network from its files, `half`: in bfloat16. Raises whatever the engine raises."""

    def cause(self, message: str) -> str:
        """What an error's message says, without what only the engine's authors need."""
