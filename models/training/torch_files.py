"""Weights that PyTorch wrote, read without PyTorch, and what it calls them.

Of its formats the first is enough: a row of pickles, then the raw storages. So a conversion runs in
the project's own environment, and nothing inside a file is executed.
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

Weights = dict[str, NDArray[Any]]

# First value of a file written by torch.save before version 1.6.
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}
# What a batch norm has counted, and Paddle's names for it.
STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}


def paddle_name(torch: str) -> str:
    """Paddle's name of a tensor, of a network whose layers are called alike."""
    stem, _, last = torch.rpartition(".")
    return f"{stem}.{STATISTICS.get(last, last)}"


def torch_name(paddle: str) -> str:
    """The other way round."""
    stem, _, last = paddle.rpartition(".")
    torch = {ours: theirs for theirs, ours in STATISTICS.items()}
    return f"{stem}.{torch.get(last, last)}"


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
