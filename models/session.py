"""One Paddle Inference predictor, with its inputs and outputs known by name and shape."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError, PackError
from models.paddle_library import load_inference

# Distinct input shapes whose oneDNN primitives stay cached: every batch size up to 16 is one.
_CACHED_SHAPES = 32
# A processor without these computes bfloat16 slower than float32, if at all.
_BF16_FEATURES = {"avx512_bf16", "amx_bf16"}
_CPU_INFO = Path("/proc/cpuinfo")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")

Precision: TypeAlias = Literal["fp32", "bf16"]
Array = NDArray[np.float32] | NDArray[np.int32]


def available_cores() -> int:
    """Cores this process may use: CPU affinity and, where there is one, the cgroup's quota."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CPU_QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    if quota == "max":
        return cores
    return max(1, min(cores, int(quota) // int(period)))


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself."""
    try:
        return not _BF16_FEATURES.isdisjoint(_CPU_INFO.read_text(encoding="utf-8").split())
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a run, under the name the export gave it."""

    name: str
    value: Array


class Session:
    """A predictor on the CPU with oneDNN. Not thread-safe: the thread that makes it runs it.

    Both of Paddle's formats load: `.json` (new) and `.pdmodel` (legacy), each with `.pdiparams`.
    """

    def __init__(
        self, model: Path, params: Path, threads: int, precision: Precision = "fp32"
    ) -> None:
        """Load the network; `threads` is clamped to the cores there are.

        `precision` is that of convolutions and matrix products; inputs and outputs stay float32.

        Raises:
            PackError: Paddle cannot load the files.
            ModelError: the processor has no such precision.
        """
        if precision == "bf16" and not has_bf16():
            raise ModelError(
                "This processor has neither AVX512_BF16 nor AMX_BF16: choose precision fp32"
            )
        inference = load_inference()
        self._model = model
        try:
            config = inference.AnalysisConfig(str(model), str(params))
            config.disable_gpu()
            config.disable_glog_info()
            if model.suffix == ".json":
                # Without these two, the memory optimisation below finds no pass result and raises.
                config.enable_new_ir()
                config.enable_new_executor()
            config.switch_ir_optim(True)
            config.enable_mkldnn()
            if precision == "bf16":
                config.enable_mkldnn_bfloat16()
            config.set_mkldnn_cache_capacity(_CACHED_SHAPES)
            config.set_cpu_math_library_num_threads(max(1, min(threads, available_cores())))
            config.enable_memory_optim()
            self._predictor: Any = inference.create_predictor(config)
        except Exception as error:  # Paddle raises whatever its C++ cause maps to
            raise PackError(
                f"Paddle cannot load {model} with {params.name}: {_summary(error)}. "
                "The files are damaged or were exported by a Paddle newer than this one"
            ) from error
        self._inputs = {
            name: self._predictor.get_input_handle(name)
            for name in self._predictor.get_input_names()
        }
        self._outputs = {
            name: self._predictor.get_output_handle(name)
            for name in self._predictor.get_output_names()
        }

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self._inputs)

    def run(self, feeds: Mapping[str, NDArray[np.float32]]) -> list[Output]:
        """One forward pass; outputs in the order the network declares them, copied.

        Raises:
            ModelError: the network lacks such an input, or fails on these values.
        """
        if feeds.keys() != self._inputs.keys():
            raise ModelError(
                f"{self._model.name} takes {', '.join(self._inputs)}; given {', '.join(feeds)}"
            )
        try:
            for name, value in feeds.items():
                self._inputs[name].reshape(value.shape)
                self._inputs[name]._copy_from_cpu_bind(np.ascontiguousarray(value))
            self._predictor.run()
            return [Output(name, out.copy_to_cpu()) for name, out in self._outputs.items()]
        except Exception as error:
            raise ModelError(f"{self._model.name} failed: {_summary(error)}") from error


def _summary(error: Exception) -> str:
    # Paddle's messages hold pages of C++ trace; one line says "(Kind) cause" or "KindError: cause".
    message = str(error)
    cause = re.search(r"^\s*(\(\w+\) .+|\w+Error: .+)$", message, re.MULTILINE)
    lines = [cause.group(1)] if cause else message.strip().splitlines()
    return (lines or [type(error).__name__])[0][:300].rstrip(".")
