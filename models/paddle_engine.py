"""Networks on Paddle Inference with oneDNN."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.network import Array, Feeds
from models.paddle_library import load_inference

# Distinct input shapes whose oneDNN primitives stay cached: every size of batch is one.
_CACHED_SHAPES = 16


class PaddleNetwork:
    """A predictor. Both of Paddle's formats load: `.json` (new) and `.pdmodel` (legacy)."""

    ENGINE = "Paddle"

    def __init__(self, model: Path, params: Path, threads: int, half: bool) -> None:
        inference = load_inference()
        config = inference.AnalysisConfig(str(model), str(params))
        config.disable_gpu()
        config.disable_glog_info()
        if model.suffix == ".json":
            # Without these two, the memory optimisation below finds no pass result and raises.
            config.enable_new_ir()
            config.enable_new_executor()
        config.switch_ir_optim(True)
        config.enable_mkldnn()
        if half:
            config.enable_mkldnn_bfloat16()
        config.set_mkldnn_cache_capacity(_CACHED_SHAPES)
        config.set_cpu_math_library_num_threads(threads)
        config.enable_memory_optim()
        self._predictor: Any = inference.create_predictor(config)
        self._inputs: Mapping[str, Any] = {
            name: self._predictor.get_input_handle(name)
            for name in self._predictor.get_input_names()
        }
        self._outputs: list[Any] = [
            self._predictor.get_output_handle(name) for name in self._predictor.get_output_names()
        ]

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self._inputs)

    def run(self, feeds: Feeds) -> list[Array]:
        for name, value in feeds.items():
            self._inputs[name].reshape(value.shape)
            self._inputs[name]._copy_from_cpu_bind(value)
        self._predictor.run()
        return [output.copy_to_cpu() for output in self._outputs]

    @staticmethod
    def cause(message: str) -> str:
        """The line that says it: the rest are pages of C++ trace."""
        found = re.search(r"^\s*(\(\w+\) .+|\w+Error: .+)$", message, re.MULTILINE)
        return found.group(1) if found else message
