import cv2
import numpy as np
import pytest

from models.training.detection.batches import (
    evaluation_batches,
    sizes_around,
    training_batches,
)
from models.training.detection.coco import read_coco
from tests.models.training.detection.pictures import write_coco


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return read_coco(write_coco(tmp_path_factory.mktemp("data"), 11))


def test_sizes_vary_by_a_tenth_in_steps_of_32():
    assert sizes_around(640) == [576, 608, 640, 672, 704]
    assert sizes_around(320) == [288, 320, 352]


def drawn(records, epoch=0, seed=4, threads=2):
    return list(
        training_batches(records, size=96, batch=4, seed=seed, epoch=epoch, threads=threads)
    )


def test_an_epoch_is_the_same_again_and_unlike_the_next(records):
    first, again = drawn(records), drawn(records, threads=1)
    assert len(first) == 2  # 11 images, 4 a batch
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.images, b.images)
        assert all(np.array_equal(x, y) for x, y in zip(a.boxes, b.boxes, strict=True))
    for other in (drawn(records, epoch=1), drawn(records, seed=5)):
        assert any(
            a.images.shape != b.images.shape or not np.array_equal(a.images, b.images)
            for a, b in zip(first, other, strict=True)
        )


def test_every_size_comes_and_boxes_lie_in_the_image(records):
    sides = set()
    for epoch in range(12):
        for batch in drawn(records, epoch):
            count, height, width, planes = batch.images.shape
            assert (count, planes, height) == (4, 3, width)
            sides.add(width)
            for boxes in batch.boxes:
                assert boxes.dtype == np.float32
                assert (boxes[:, 2:] > boxes[:, :2]).all()
                assert boxes.min(initial=0) >= 0
                assert boxes.max(initial=0) <= width
    assert sides == {64, 96, 128}


def test_cutouts_add_bodies(records):
    cutout = np.full((20, 20, 4), 255, np.uint8)
    batches = training_batches(records, size=96, batch=4, seed=4, epoch=0, cutouts=[cutout])
    with_cutouts = sum(len(boxes) for batch in batches for boxes in batch.boxes)
    assert with_cutouts > sum(len(boxes) for batch in drawn(records) for boxes in batch.boxes)


def test_evaluation_sees_every_image_once_and_in_order(records):
    batches = list(evaluation_batches(records, size=96, batch=4))
    assert [len(batch.boxes) for batch in batches] == [4, 4, 3]
    boxes = np.concatenate([box for batch in batches for box in batch.boxes])
    assert np.allclose(boxes, np.concatenate([record.boxes for record in records]) * 96 / 64)
    last = cv2.resize(records[-1].load().image, (96, 96), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(batches[-1].images[-1], last)
