"""Networks on OpenVINO, the engine of the extra `openvino`.

It reads Paddle's legacy format and its own; the new one is converted to ONNX when it is loaded.
"""

import io
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.network import Array, Feeds


class OpenVinoNetwork:
    """A compiled network with one request, batches of any size."""

    ENGINE = "OpenVINO"

    def __init__(self, model: Path, params: Path, threads: int, half: bool) -> None:
        compiled = _core().compile_model(
            read(model, params),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
                # Two networks, each with its own threads, would be pinned to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self.inputs: tuple[str, ...] = tuple(port.any_name for port in compiled.inputs)
        self._outputs = len(compiled.outputs)
        self._request: Any = compiled.create_infer_request()

    def run(self, feeds: Feeds) -> list[Array]:
        values = self._request.infer(dict(feeds), share_inputs=True, share_outputs=False)
        return [values[place] for place in range(self._outputs)]

    @staticmethod
    def cause(message: str) -> str:
        """The last line says it: those before name places in its source."""
        return (message.strip().splitlines() or [""])[-1]


@lru_cache(maxsize=1)
def _core() -> Any:
    try:
        # Not where Paddle serves: it takes a fifth of a second and 30 MB.
        import openvino
    except ImportError as error:
        raise ModelError(
            "OpenVINO is not installed in this environment: "
            ".venv/bin/pip install --require-hashes -r requirements-extras.lock"
        ) from error
    return openvino.Core()


# As many as there are networks: each is compiled a second time, with fewer threads.
@lru_cache(maxsize=2)
def read(model: Path, params: Path) -> Any:
    if model.suffix != ".json":
        return _core().read_model(str(model), str(params))
    return _core().read_model(io.BytesIO(_as_onnx(model, params)))


def _as_onnx(model: Path, params: Path) -> bytes:
    # In a process of its own: it loads Paddle, of which nothing else is needed here.
    command = [sys.executable, "-m", "models.onnx_conversion", str(model), str(params)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"It can't be converted to ONNX: {said[-1] if said else 'no reason'}")
    return done.stdout
