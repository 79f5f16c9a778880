"""A network on the engine that was chosen, its inputs and outputs known by name."""

from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from models.errors import ModelError, PackError
from models.network import Array, Feeds, Network
from models.openvino_engine import OpenVinoNetwork
from models.paddle_engine import PaddleNetwork
from models.processor import available_cores, has_bf16

Engine: TypeAlias = Literal["paddle-fp32", "paddle-bf16", "openvino-fp32", "openvino-bf16"]

_ENGINES: dict[str, type[Network]] = {"paddle": PaddleNetwork, "openvino": OpenVinoNetwork}
_LONGEST_CAUSE = 300  # characters


class Session:
    """A network on the CPU. Not thread-safe: the thread that makes it runs it."""

    def __init__(
        self, model: Path, params: Path, threads: int, engine: Engine = "paddle-fp32"
    ) -> None:
        """Load the network; `threads` is clamped to the cores there are.

        The engine's precision is that of convolutions and matrix products; inputs and outputs stay
        float32.

        Raises:
            PackError: the engine cannot load the files.
            ModelError: the processor has no such precision, the engine is not installed, or the
                files are another engine's.
        """
        name, precision = engine.split("-")
        if precision == "bf16" and not has_bf16():
            raise ModelError(
                f"This processor has neither AVX512_BF16 nor AMX_BF16: choose engine {name}-fp32"
            )
        if name == "paddle" and model.suffix == ".xml":
            raise ModelError(f"{model} is in OpenVINO's format: choose engine openvino-fp32")
        self._engine = _ENGINES[name]
        self._model = model
        cores = max(1, min(threads, available_cores()))
        try:
            self._network = self._engine(model, params, cores, precision == "bf16")
        except ModelError:
            raise
        except Exception as error:  # engines raise whatever their C++ cause maps to
            raise PackError(
                f"{self._engine.ENGINE} cannot load {model} with {params.name}: "
                f"{self._cause(error)}. The files are damaged or were exported by a Paddle newer "
                "than this one"
            ) from error

    @property
    def inputs(self) -> tuple[str, ...]:
        return self._network.inputs

    def run(self, feeds: Feeds) -> list[Array]:
        """One forward pass; outputs in the order the network declares them, copied.

        Raises:
            ModelError: the network lacks such an input, or fails on these values.
        """
        if feeds.keys() != set(self.inputs):
            raise ModelError(
                f"{self._model.name} takes {', '.join(self.inputs)}; given {', '.join(feeds)}"
            )
        try:
            return self._network.run(
                {name: np.ascontiguousarray(value) for name, value in feeds.items()}
            )
        except Exception as error:
            raise ModelError(f"{self._model.name} failed: {self._cause(error)}") from error

    def _cause(self, error: Exception) -> str:
        lines = self._engine.cause(str(error)).strip().splitlines() or [type(error).__name__]
        cause = lines[0][:_LONGEST_CAUSE].rstrip(".")
        # A name is all that C++ says then; what else ends a pass says more.
        return f"{cause} (is memory short?)" if cause.startswith("std::") else cause
