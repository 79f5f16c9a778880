"""A network of Paddle's new format as ONNX, written to standard output.

    python -m models.onnx_conversion MODEL.json PARAMS.pdiparams

Of the packages paddle and paddle2onnx only the compiled libraries are loaded: 0.5 s instead of 1.8.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from models.paddle_library import load_inference

# The first with HardSwish. OpenVINO does not fuse what stands for it before: the official detector
# architecture at 640 px then takes 143 ms in bf16 instead of 67.
_OPSET = 14


def main() -> None:
    model, params = sys.argv[1:]
    # The converter's C++ talks on standard output.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        load_inference()  # the converter is linked to it
        answer.write(_converted(_load_converter(), model, params))


def _load_converter() -> Any:
    package = importlib.util.find_spec("paddle2onnx")
    if package is None or package.origin is None:
        sys.exit("paddle2onnx is not installed: see requirements-extras.lock")
    (library,) = Path(package.origin).parent.glob("paddle2onnx_cpp2py_export*.so")
    spec = importlib.util.spec_from_file_location("paddle2onnx_cpp2py_export", library)
    if spec is None or spec.loader is None:
        sys.exit(f"{library} cannot be loaded: install paddle2onnx again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _converted(converter: Any, model: str, params: str) -> bytes:
    # As paddle2onnx.export calls it: the opset may be raised, quiet, checked, experimental
    # operators, optimised; no operators of one's own, for ONNX Runtime, no calibration, float32.
    onnx: bytes = converter.export(
        model, params, _OPSET, True, False, True, True, True, {}, "onnxruntime", "", "", False
    )
    return onnx


if __name__ == "__main__":
    main()
