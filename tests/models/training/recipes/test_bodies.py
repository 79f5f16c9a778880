from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save_model

from models.training.open_data import Photo
from models.training.recipes.bodies import CUTOUT_SIDE, MASK_SIDE, Salience, cut_out, dominant_body
from models.training.recipes.split import kept_out


def photo(source, identity="cola", split="original"):
    return Photo(Path(f"{source}.jpg"), split, identity, source)


def test_a_source_is_kept_out_with_its_copies():
    assert kept_out(photo("004"))
    assert kept_out(photo("004", split="copy"))
    assert not kept_out(photo("005"))


def test_groceries_are_kept_out_by_product_a_fifth_of_them():
    products = [f"product {number}" for number in range(500)]
    out = {product for product in products if kept_out(photo("shop/1.jpg", product))}
    assert 70 <= len(out) <= 130
    assert all(kept_out(photo("shop/2.jpg", product)) for product in out)


def test_salience_is_the_first_output_of_an_onnx_file_for_the_photographs_size(tmp_path):
    pixels = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, MASK_SIDE, MASK_SIDE])
    maps = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, MASK_SIDE, MASK_SIDE])
        for name in ("fused", "side")
    ]
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["side"], axes=[1]),
        helper.make_node("Sigmoid", ["side"], ["fused"]),
    ]
    graph = helper.make_graph(nodes, "salience", [pixels], maps)
    opset = helper.make_opsetid("", 11)
    save_model(helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "net.onnx")
    image = np.zeros((480, 640, 3), np.uint8)
    image[:, 320:] = 255
    found = Salience(tmp_path / "net.onnx", threads=1)(image)
    assert (found.dtype, found.shape) == (np.uint8, (480, 640))
    # ImageNet's normalisation makes of black -1.986 and of white 2.439, on the mean of channels.
    assert (found[:, :310] == round(255 / (1 + np.exp(1.986)))).all()
    assert (found[:, 330:] == round(255 / (1 + np.exp(-2.439)))).all()


def mask(*windows):
    drawn = np.zeros((100, 120), np.uint8)
    for x1, y1, x2, y2 in windows:
        drawn[y1:y2, x1:x2] = 250
    return drawn


def test_one_clear_body_has_a_box():
    assert dominant_body(mask((20, 30, 60, 80))) == (20, 30, 60, 80)
    assert dominant_body(mask((20, 30, 60, 80), (100, 0, 105, 5))) == (20, 30, 60, 80)


@pytest.mark.parametrize(
    "windows", [(), ((0, 0, 120, 100),), ((5, 5, 12, 12),), ((0, 0, 40, 50), (60, 0, 100, 50))]
)
def test_none_several_or_all_of_it_have_not(windows):
    assert dominant_body(mask(*windows)) is None


def test_a_cut_out_is_opaque_where_salient():
    image = np.full((800, 600, 3), 90, np.uint8)
    salience = np.zeros((800, 600), np.uint8)
    salience[100:700, 200:400] = 255
    body = cut_out(image, salience, (150, 100, 450, 700))
    assert body.shape == (CUTOUT_SIDE, CUTOUT_SIDE // 2, 4)
    assert (body[:, 60:80, 3] == 255).all()
    assert not body[:, :20, 3].any()
