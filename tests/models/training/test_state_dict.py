"""State dicts on the disk: as Paddle writes them, and as nobody should."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import paddle
import pytest

from models.errors import ModelError
from models.training.state_dict import read_state_dict


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_saves_is_read_as_paddle_reads_it(tmp_path: Path, protocol: int) -> None:
    network = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4))
    path = tmp_path / "w.pdparams"
    paddle.save(network.state_dict(), str(path), protocol=protocol)
    expected = paddle.load(str(path), return_numpy=True)
    found = read_state_dict(path)
    assert list(found) == list(expected) == list(network.state_dict())
    for name, numbers in expected.items():
        assert found[name].dtype == numbers.dtype
        np.testing.assert_array_equal(found[name], numbers)


def test_tensors_of_a_program_are_read(tmp_path: Path) -> None:
    class Saved:
        def __reduce__(self) -> tuple[object, ...]:
            return eval, ("data", {"data": np.arange(3.0)})

    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps({"w": Saved()}))
    np.testing.assert_array_equal(read_state_dict(path)["w"], [0, 1, 2])


def test_arrays_with_a_table_of_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pdparams"
    state = OrderedDict(w=np.ones(2, np.float32))
    state["StructuredToParameterName@@"] = {"w": "conv2d_0.w_0"}
    # As NumPy 1 names what arrays are made of.
    path.write_bytes(pickle.dumps(state, 2).replace(b"numpy._core.m", b"numpy.core.m"))
    assert list(read_state_dict(path)) == ["w"]


@pytest.mark.parametrize("expression", ["print", "__import__('os').mkdir(PATH)"])
def test_a_file_that_runs_code_runs_none(tmp_path: Path, expression: str) -> None:
    made = tmp_path / "made"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return eval, (expression.replace("PATH", repr(str(made))), {})

    class Worse:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.mkdir, (made,)

    path = tmp_path / "w.pdparams"
    for held in (Evil(), Worse()):
        path.write_bytes(pickle.dumps({"w": held}))
        with pytest.raises(ModelError, match="cannot be read as Paddle weights"):
            read_state_dict(path)
    assert not made.exists()


def test_bytes_are_no_objects_whatever_a_file_calls_them(tmp_path: Path) -> None:
    path = tmp_path / "w.pdparams"

    class Type:
        def __reduce__(self) -> tuple[object, ...]:
            of_objects = {"a": (np.dtype("O"), 0)}
            return np.dtype, ("V8",), (3, "|", None, ("a",), of_objects, 8, 1, 0)

    class Array:
        def __reduce__(self) -> tuple[object, ...]:
            made = np.zeros(1).__reduce__()
            return *made[:2], (1, (1,), Type(), False, b"AAAAAAAA")

    class Objects:
        def __reduce__(self) -> tuple[object, ...]:
            return eval, ("a", Array())

    path.write_bytes(pickle.dumps({"w": Objects()}))
    with pytest.raises(ModelError, match="cannot be read as Paddle weights"):
        read_state_dict(path)
    path.write_bytes(pickle.dumps({"w": np.array([None])}))
    with pytest.raises(ModelError, match="cannot be read as Paddle weights"):
        read_state_dict(path)


def test_strings_of_python_2_and_other_orders_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.pdparams"
    arrays = {
        "columns": np.asfortranarray(np.arange(6, dtype=">i8").reshape(2, 3)),
        "one": np.array(7.0),
        "half": np.ones((1, 3), np.float16),
    }
    path.write_bytes(pickle.dumps(arrays, 2))
    found = read_state_dict(path)
    for name, numbers in pickle.loads(path.read_bytes()).items():
        assert found[name].dtype == numbers.dtype
        np.testing.assert_array_equal(found[name], numbers)
    # As Python 2 wrote {"w": array([1, 2], uint8)}.
    path.write_bytes(
        b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        b"(K\x01K\x02\x85cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tbs."
    )
    np.testing.assert_array_equal(read_state_dict(path)["w"], [1, 2])


@pytest.mark.parametrize("held", [[1], {"w": 1}, {"w": ("name", "text")}])
def test_other_things_are_no_state_dict(tmp_path: Path, held: object) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps(held))
    with pytest.raises(ModelError, match="holds no state dict"):
        read_state_dict(path)
