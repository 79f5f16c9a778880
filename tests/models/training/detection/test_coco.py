import json

import cv2
import numpy as np
import pytest

from models.errors import ModelError
from models.training.detection.coco import read_coco, split
from tests.models.training.detection.pictures import bright_box, write_coco


def write(folder, annotations, size=(40, 60)):
    height, width = size
    cv2.imwrite(str(folder / "a.png"), np.zeros((height, width, 3), np.uint8))
    content = {
        "images": [{"id": 7, "file_name": "a.png", "height": height, "width": width}],
        "annotations": [{"image_id": 7, "category_id": 3, **entry} for entry in annotations],
        "categories": [{"id": 3, "name": "cup"}],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def test_boxes_become_corners_inside_the_image(tmp_path):
    path = write(
        tmp_path,
        [
            {"bbox": [10, 5, 20, 30]},
            {"bbox": [50, 30, 30, 30]},  # reaches outside
            {"bbox": [70, 0, 10, 10]},  # is outside
            {"bbox": [1, 1, 0.5, 10]},  # less than a pixel wide
            {"bbox": [30, 20, -10, 10]},
            {"bbox": [float("nan"), 0, 10, 10]},
            {"bbox": [0, 0, 60, 40], "iscrowd": 1},
        ],
    )
    (record,) = read_coco(path)
    assert record.boxes.tolist() == [[10, 5, 30, 35], [50, 30, 60, 40]]
    assert record.dropped == 4


def test_an_image_without_boxes_is_kept(tmp_path):
    (record,) = read_coco(write(tmp_path, []))
    assert record.load().boxes.shape == (0, 4)


def test_pictures_and_boxes_belong_together(tmp_path):
    for record in read_coco(write_coco(tmp_path, 3)):
        sample = record.load()
        assert sample.boxes.tolist() == [bright_box(sample.image)]


def test_images_are_rgb(tmp_path):
    path = write(tmp_path, [])
    blue = np.zeros((40, 60, 3), np.uint8)
    blue[..., 0] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "a.png"), blue)
    assert read_coco(path)[0].load().image[0, 0].tolist() == [0, 0, 255]


def test_files_that_are_not_as_annotated_are_refused(tmp_path):
    path = write(tmp_path, [])
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 40, 3), np.uint8))
    with pytest.raises(ModelError, match="is 40 x 60, annotated as 60 x 40"):
        read_coco(path)[0].load()
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ModelError, match="cannot be read as an image"):
        read_coco(path)[0].load()


def test_a_file_that_ends_in_the_middle_is_refused(tmp_path):
    path = write(tmp_path, [])
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    _, whole = cv2.imencode(".jpg", noise)
    (tmp_path / "a.png").write_bytes(whole.tobytes()[: len(whole) // 3])
    with pytest.raises(ModelError, match=r"a\.png cannot be read as an image .*truncated"):
        read_coco(path)[0].load()


def test_images_that_are_not_there_are_told_at_once(tmp_path):
    path = write_coco(tmp_path, 15)
    for number in range(3, 15):
        (tmp_path / f"{number:03}.png").unlink()
    with pytest.raises(ModelError, match=r"12 are not there: .*003\.png, .*012\.png and 2 more$"):
        read_coco(path)


def test_ids_that_are_not_one_image_s_are_refused(tmp_path):
    path = write_coco(tmp_path, 3)
    content = json.loads(path.read_text())
    content["images"][2]["id"] = content["images"][0]["id"]
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="gives several images the same id, such as 0"):
        read_coco(path)


def test_boxes_of_two_numbers_are_not_joined_to_one_of_four(tmp_path):
    path = write(tmp_path, [{"bbox": [1, 2]}, {"bbox": [3, 4]}])
    with pytest.raises(ModelError, match="is no COCO annotation file"):
        read_coco(path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"images": []}',
        '{"images": [], "annotations": []}',
        '{"images": [{"id": 1}]}',
        '{"images": [{"id": 1}], "annotations": {"1": {}}}',
    ],
)
def test_what_is_no_annotation_file_is_refused(tmp_path, content):
    path = tmp_path / "annotations.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"annotations\.json"):
        read_coco(path)


def test_a_fifth_is_kept_out_and_always_the_same(tmp_path):
    records = read_coco(write_coco(tmp_path, 14))
    train, kept_out = split(records)
    assert len(kept_out) == 3
    assert [record for record in records if record in train or record in kept_out] == records
    assert {record.path for record in split(records[::-1])[1]} == {r.path for r in kept_out}
