"""Readers of published weight files, on files written here byte by byte."""

import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from models.errors import ModelError
from models.training.weights import TORCH_MAGIC, read_onnx_convolutions, read_torch


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


def varint(value):
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def field(number, value):
    """One protocol-buffer field: an integer, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, values, dims):
    raw = np.asarray(values, "<f4").tobytes()
    return field(5, dims + field(2, 1) + field(8, name.encode()) + field(9, raw))


def node(kind, *inputs):
    names = b"".join(field(1, name.encode()) for name in inputs)
    return field(1, names + field(2, b"out") + field(4, kind.encode()))


def test_convolutions_come_in_the_order_they_run(tmp_path):
    packed, single = field(1, varint(200) + varint(1)), field(1, 200)
    graph = (
        node("Conv", "x", "late.weight", "late.bias")
        + node("Relu", "y")
        + node("Conv", "y", "early.weight", "early.bias")
        + tensor("early.weight", np.arange(200), packed)
        + tensor("early.bias", np.ones(200), single)
        + tensor("late.weight", np.zeros(200), packed)
        + tensor("late.bias", np.full(200, 2), single)
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(field(1, 8) + field(2, b"maker") + field(7, graph))
    (late, late_bias), (early, _) = read_onnx_convolutions(path)
    assert early.shape == (200, 1)
    assert early[199, 0] == 199
    assert not late.any()
    assert (late_bias == 2).all()


@pytest.mark.parametrize("content", [b"", b"\x0b\x01", field(1, 8)])
def test_a_file_without_a_graph_is_refused(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not an ONNX file"):
        read_onnx_convolutions(path)
