"""The reader of PyTorch's files, on files written here byte by byte."""

import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from models.errors import ModelError
from models.training.torch_files import TORCH_MAGIC, read_torch


@pytest.fixture
def write_torch(tmp_path, monkeypatch):
    """Writes a state dict as PyTorch did before version 1.6, without PyTorch."""

    def _rebuild_tensor_v2(*parts):
        raise AssertionError("only its name is written")

    class FloatStorage:
        def __init__(self, key, values):
            self.key, self.values = key, np.asarray(values, "<f4")

    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for module, thing in ((torch, FloatStorage), (inner, _rebuild_tensor_v2)):
        thing.__module__, thing.__qualname__ = module.__name__, thing.__name__
        setattr(module, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    class Tensor:
        def __init__(self, *parts):
            self.parts = parts

        def __reduce__(self):
            return _rebuild_tensor_v2, (*self.parts, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if not isinstance(thing, FloatStorage):
                return None
            return ("storage", FloatStorage, thing.key, "cpu", len(thing.values), None)

    def write(tensors, storages, magic=TORCH_MAGIC):
        made = {key: FloatStorage(key, values) for key, values in storages.items()}
        state = OrderedDict(
            (name, Tensor(made[key], offset, size, stride))
            for name, (key, offset, size, stride) in tensors.items()
        )
        path = tmp_path / "weights.pth"
        with path.open("wb") as file:
            for head in (magic, 1001, {"little_endian": True}):
                pickle.dump(head, file, protocol=2)
            Pickler(file, protocol=2).dump(state)
            pickle.dump(list(made), file, protocol=2)
            for storage in made.values():
                file.write(len(storage.values).to_bytes(8, "little") + storage.values.tobytes())
        return path

    return write


def test_tensors_are_views_of_their_storages(write_torch):
    path = write_torch(
        {
            "rows": ("7", 0, (2, 3), (3, 1)),
            "turned": ("7", 0, (3, 2), (1, 3)),
            "last": ("7", 5, (1,), (1,)),
            "other": ("9", 0, (2,), (1,)),
        },
        {"7": [1, 2, 3, 4, 5, 6], "9": [-1, 0.5]},
    )
    tensors = read_torch(path)
    np.testing.assert_array_equal(tensors["rows"], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(tensors["turned"], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(tensors["last"], [6])
    np.testing.assert_array_equal(tensors["other"], [-1, 0.5])


def test_another_file_is_refused(write_torch):
    with pytest.raises(ModelError, match="first format"):
        read_torch(write_torch({}, {}, magic=12))


@pytest.mark.parametrize("held", [b"", b"PK\x03\x04 as PyTorch writes since 1.6"])
def test_a_file_of_another_format_is_named(tmp_path, held):
    path = tmp_path / "zip.pth"
    path.write_bytes(held)
    with pytest.raises(ModelError, match=r"zip\.pth cannot be read as PyTorch weights"):
        read_torch(path)


@pytest.mark.parametrize("view", [(0, (3,), (1,)), (1, (2,), (1,)), (0, (2,), (1 << 30,))])
def test_a_tensor_beyond_its_storage_is_refused(write_torch, view):
    with pytest.raises(ModelError, match=r"incompatible|too small"):
        read_torch(write_torch({"beyond": ("7", *view)}, {"7": [1, 2]}))


def test_nothing_but_tensors_is_unpickled(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(ModelError, match="no need of builtins"):
        read_torch(path)
