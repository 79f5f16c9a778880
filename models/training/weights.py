"""Reads published weight files without the frameworks that wrote them.

Two formats are enough: PyTorch's first one (a row of pickles, then the raw storages) and ONNX (a
protocol-buffer message whose graph lists its initialisers). Neither needs torch or onnx, so a
conversion runs in the project's own environment, and nothing inside a file is executed.
"""

import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Weights = dict[str, NDArray[Any]]

# First value of a file written by torch.save before version 1.6.
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


class _StateDictUnpickler(pickle.Unpickler):
    """Knows tensors and ordered dictionaries; refuses every other name a pickle may ask for.

    Storages follow the pickles in the file, so tensors point at arrays that are filled afterwards.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, NDArray[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise pickle.UnpicklingError(f"a state dict has no need of {module}.{name}")

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        _, dtype, key, _, size, _ = pid
        return self.storages.setdefault(key, np.empty(size, dtype))


def _tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    # Unlike as_strided, this refuses what is not all in the storage.
    strides = tuple(step * storage.itemsize for step in stride)
    return np.ndarray(size, storage.dtype, storage, offset * storage.itemsize, strides)


def read_torch(path: Path) -> Weights:
    """Tensors of a state dict that PyTorch wrote in its first format, by name.

    Raises:
        ModelError: it is not such a file, holds something else than tensors, or one does not lie
            within its storage.
    """
    try:
        return _read_torch(path)
    except Exception as error:  # unpickling raises anything
        raise ModelError(f"{path} cannot be read as PyTorch weights: {error}") from error


def _read_torch(path: Path) -> Weights:
    with path.open("rb") as file:
        # Magic number, protocol version, machine description, state dict, order of the storages.
        if _StateDictUnpickler(file).load() != TORCH_MAGIC:
            raise pickle.UnpicklingError("not a file of the first format")
        for _ in range(2):
            _StateDictUnpickler(file).load()
        reader = _StateDictUnpickler(file)
        weights: Weights = dict(reader.load())
        for key in _StateDictUnpickler(file).load():
            storage = reader.storages[key]
            size = int.from_bytes(file.read(8), "little")
            storage[:] = np.frombuffer(file.read(size * storage.itemsize), storage.dtype)
    return weights


# Field numbers of onnx.proto.
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
NODE_INPUT, NODE_TYPE = 1, 4
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
FLOAT = 1


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """(field number, integer or bytes) of one protocol-buffer message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}: not an ONNX file")
        yield number, data[at : at + size]
        at += size


def _dims(value: int | memoryview) -> Iterator[int]:
    """A repeated integer comes one by one or packed, as its writer liked."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        dim, at = _varint(value, at)
        yield dim


def _initializer(message: memoryview) -> tuple[str, NDArray[np.float32] | None]:
    dims: list[int] = []
    name, dtype, raw = "", 0, memoryview(b"")
    for number, value in _fields(message):
        if number == TENSOR_DIMS:
            dims.extend(_dims(value))
        elif number == TENSOR_TYPE:
            dtype = value
        elif number == TENSOR_NAME:
            name = bytes(value).decode()
        elif number == TENSOR_RAW:
            raw = value
    if dtype != FLOAT:
        return name, None
    return name, np.frombuffer(raw, np.float32).reshape(dims)


def read_onnx_convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """(weight, bias) of every convolution of an ONNX graph, in the order they run.

    Exporters that fold batch norms into convolutions lose the layers' names; what stays is their
    order, which is the order of the network's forward pass.

    Raises:
        ValueError: it is not an ONNX file.
    """
    data = memoryview(path.read_bytes())
    graph = next((value for number, value in _fields(data) if number == MODEL_GRAPH), None)
    if graph is None:
        raise ValueError(f"{path} has no graph: not an ONNX file")
    tensors: dict[str, NDArray[np.float32] | None] = {}
    inputs: list[list[str]] = []
    for number, value in _fields(graph):
        if number == GRAPH_INITIALIZER:
            name, tensor = _initializer(value)
            tensors[name] = tensor
        elif number == GRAPH_NODE:
            node = list(_fields(value))
            if any(field == NODE_TYPE and bytes(item) == b"Conv" for field, item in node):
                inputs.append([bytes(item).decode() for field, item in node if field == NODE_INPUT])
    convolutions = []
    for _, weight_name, bias_name in inputs:
        weight, bias = tensors[weight_name], tensors[bias_name]
        if weight is None or bias is None:
            raise ValueError(f"{path}: {weight_name} or {bias_name} is not float32")
        convolutions.append((weight, bias))
    return convolutions
