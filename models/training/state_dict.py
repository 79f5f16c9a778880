"""State dicts: on disk, in exported programs, and into networks.

A network of a pack can be trained further when its export gave every parameter of the program its
name in the state dict, which `name_tensors` sees to.
"""

import codecs
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from models.errors import ModelError

Weights = dict[str, NDArray[Any]]

_COUNTER = re.compile(r"_\d+$")


def name_tensors(network: paddle.nn.Layer) -> None:
    """Call every tensor what the state dict calls it.

    Paddle numbers tensors in the order they are made in a process; optimisers and exported programs
    know them by that name, which is worth nothing in the next process.
    """
    for name, tensor in network.state_dict().items():
        tensor.name = name


def read_state_dict(path: Path) -> Weights:
    """The state dict in a `.pdparams` file, as any Paddle 2 or 3 saves it; downloaded ones, too.

    `paddle.load` would do whatever the file says.

    Raises:
        ModelError: the file does not exist or is no state dict.
    """
    try:
        with path.open("rb") as file:
            loaded = _Unpickler(file, encoding="latin1").load()
    except Exception as error:  # unpickling raises anything
        raise ModelError(f"{path} cannot be read as Paddle weights: {error}") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} holds no state dict")
    # Paddle 2.0's table of other names.
    loaded.pop("StructuredToParameterName@@", None)
    # A tensor is its name and its numbers.
    weights = {name: held[-1] if isinstance(held, tuple) else held for name, held in loaded.items()}
    if not all(isinstance(held, _Array) for held in weights.values()):
        raise ModelError(f"{path} holds no state dict")
    return {name: held.numbers for name, held in weights.items()}


class _Type:
    """A type of numbers, as a pickle makes one: by its code, then by its state."""

    def __init__(self, code: str, *_: Any) -> None:
        self.plain = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.plain = self.plain.newbyteorder(state[1])


class _Array:
    """An array, as a pickle makes one: empty, then by its state.

    NumPy's own would take what a file says for the addresses of objects, if it says so.
    """

    numbers: NDArray[Any] = np.empty(0)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, of, by_columns, held = state
        # A string of Python 2.
        held = held.encode("latin1") if isinstance(held, str) else held
        stored = np.ndarray(shape, of.plain, held, order="F" if by_columns else "C")
        self.numbers = stored.astype(of.plain.newbyteorder("="))


class _Unpickler(pickle.Unpickler):
    """Knows arrays and dictionaries; refuses every other name that a pickle may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name of the file stands for. Raises UnpicklingError."""
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            message = f"a state dict has no need of {module}.{name}"
            raise pickle.UnpicklingError(message) from None


def _tensor_of_a_program(expression: str, names: Mapping[str, Any]) -> Any:
    """What Paddle has `eval` make of it: it saves these tensors as `eval("data", {"data": …})`."""
    return names[expression]


# By the names of Python 3 and 2, NumPy 2 and 1.
_KNOWN = {
    "builtins.tuple": tuple,
    "__builtin__.tuple": tuple,
    "builtins.eval": _tensor_of_a_program,
    "__builtin__.eval": _tensor_of_a_program,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": codecs.encode,
    "numpy.dtype": _Type,
    "numpy.ndarray": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray._reconstruct": _Array,
}


def write_state(state: dict[str, Any], path: Path) -> None:
    """Save, so that a stop in the middle leaves the file before."""
    unfinished = path.with_suffix(".unfinished")
    paddle.save(state, str(unfinished))
    unfinished.replace(path)


def read_program(model: Path) -> Weights:
    """The parameters of an exported program (`.json` and `.pdiparams`), by their names in it.

    What is stored as float16 (`export.store_in_half`) is float32 again.

    Raises:
        ModelError: it is in another format.
    """
    if model.suffix != ".json":
        raise ModelError(f"{model} is not of this project's exports: it cannot be trained further")
    layer = paddle.jit.load(str(model.with_suffix("")))
    # Loading appends a counter to every name.
    weights = {_COUNTER.sub("", tensor.name): tensor.numpy() for tensor in layer.parameters()}
    return {
        name: tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor
        for name, tensor in weights.items()
    }


def load_weights(network: paddle.nn.Layer, weights: Weights) -> None:
    """Set every tensor of `network`.

    Raises:
        ModelError: tensors are missing, left over, or of another shape.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    faults = [f"missing {name}" for name in expected.keys() - weights.keys()]
    faults += [f"unknown {name}" for name in weights.keys() - expected.keys()]
    faults += [
        f"{name} is {list(weights[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in weights and weights[name].shape != shape
    ]
    if faults:
        shown = "; ".join(sorted(faults)[:5])
        raise ModelError(f"The weights do not fit the network, {len(faults)} faults: {shown}")
    network.set_state_dict(weights)
