"""Paddle Inference without the framework around it: the one library of Paddle that serves."""

import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import ModuleType

from models.errors import ModelError

_NAME = "paddle.base.libpaddle"
_loading = threading.Lock()


def load_inference() -> ModuleType:
    """The compiled module with `AnalysisConfig` and `create_predictor`; loaded once.

    `import paddle.inference` runs the whole package first: three times the time, 90 MB more, the
    root logger set to WARNING and a crash reporter on SIGTERM, so that a service told to stop would
    print a C++ trace and die amid its requests. The compiled module alone does none of that.
    It goes by the name the package gives it, so that importing `paddle` afterwards finds it.

    Raises:
        ModelError: Paddle is not installed.
    """
    with _loading:
        if _NAME in sys.modules:
            return sys.modules[_NAME]
        package = importlib.util.find_spec("paddle")
        if package is None or package.origin is None:
            raise ModelError("paddlepaddle is not installed in this environment")
        # OpenMP's threads spin after each pass before they sleep, 200 ms unless told: that is time
        # taken from decoding, from searching, and from the other network.
        os.environ.setdefault("KMP_BLOCKTIME", "1")
        # Its own messages are for its developers, and not in the service's format.
        os.environ.setdefault("GLOG_minloglevel", "2")
        library = Path(package.origin).parent / "base" / "libpaddle.so"
        spec = importlib.util.spec_from_file_location(_NAME, library)
        if spec is None or spec.loader is None:
            raise ModelError(f"{library} cannot be loaded: install paddlepaddle again")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[_NAME]
            raise
        return module
