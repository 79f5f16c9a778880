import numpy as np

from models.training.detection.boxes import iou, margins, pairwise_giou, pairwise_iou

A = np.array([[0, 0, 4, 4], [10, 0, 12, 2]], np.float32)
B = np.array([[2, 2, 6, 6], [0, 0, 4, 4], [3, 3, 3, 3]], np.float32)


def test_iou_is_the_common_share_of_the_union():
    # 2 x 2 common of 16 + 16 - 4; the same box; a box without area.
    assert np.allclose(pairwise_iou(A, B), [[4 / 28, 1, 0], [0, 0, 0]])


def test_iou_of_boxes_in_sequences_even_of_none():
    assert np.allclose(iou([(5, 0, 15, 10), (20, 20, 30, 30)], [(0, 0, 10, 10)]), [[1 / 3], [0]])
    assert iou([], [(0, 0, 10, 10)]).shape == (0, 1)


def test_giou_goes_on_where_iou_is_zero():
    # Hull 6 x 6, union 28: 4/28 - 8/36. Second box: hulls 10 x 6 (union 20) and 12 x 4 (union 20).
    # A point at (3, 3): inside the first box, hull 16 = union; hull 9 x 3 with the second, union 4.
    expected = [[4 / 28 - 8 / 36, 1, 0], [-40 / 60, -28 / 48, -23 / 27]]
    assert np.allclose(pairwise_giou(A, B), expected)


def test_margins_are_distances_to_the_nearest_side():
    points = np.array([[3, 2], [11, 5]], np.float32)
    assert margins(points, A).tolist() == [[1, -7], [-7, -3]]
