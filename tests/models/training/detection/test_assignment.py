"""Assignments worked out by hand on a few cells; BACKGROUND is -1."""

import numpy as np

from models.nets.pico_head import grid
from models.training.detection.assignment import atss, simota, varifocal_cost


def array(values):
    return np.asarray(values, np.float32)


# A row of six cells of stride 8: centres (4, 4), (12, 4) … (44, 4).
CENTERS, STRIDES = grid(8, 48, (8,))


def test_the_cost_of_a_cell_is_its_varifocal_loss():
    # Score 1/2: ln 2 times IoU 0.8; without overlap 0.75 x 0.25 x ln 2.
    cost = varifocal_cost(array([0.5]), array([[0.8, 0.0]]))
    assert np.allclose(cost, [[0.8 * np.log(2), 0.1875 * np.log(2)]], atol=1e-6)


def test_a_box_gets_as_many_cells_as_its_ious_sum_to():
    # The truth spans the first three cells. Two predict it well, one badly, the others elsewhere.
    box = array([[0, 0, 24, 8]])
    predicted = array(
        [
            [0, 0, 24, 8],  # IoU 1
            [0, 0, 24, 8],  # IoU 1
            [0, 0, 12, 8],  # IoU 1/2
            [24, 0, 32, 8],
            [32, 0, 40, 8],
            [40, 0, 48, 8],
        ]
    )
    scores = array([0.5] * 6)
    # IoUs sum to 2.5: two cells, the two that predict exactly.
    assert simota(scores, predicted, CENTERS, STRIDES, box).tolist() == [0, 0, -1, -1, -1, -1]


def test_every_box_gets_a_cell_even_when_nobody_predicts_it():
    box = array([[16, 0, 32, 8]])
    predicted = array([[100, 100, 110, 110]] * 6)
    scores = array([0.5] * 6)
    # No IoU at all, so one cell. GIoU loss is the same for all six; those in the box and near its
    # middle are cells 2 and 3, equal in cost: the first.
    assert simota(scores, predicted, CENTERS, STRIDES, box).tolist() == [-1, -1, 0, -1, -1, -1]


def test_the_score_decides_between_equal_boxes():
    box = array([[16, 0, 32, 8]])
    # Both cells in the box predict three quarters of it; IoUs sum to 1.5, one cell. The cost of
    # score s is 0.75 x -(0.75 ln s + 0.25 ln(1 - s)): 0.52 at 0.5, 0.46 at 0.6.
    predicted = array([[100, 0, 101, 1]] * 2 + [[16, 0, 28, 8]] * 2 + [[100, 0, 101, 1]] * 2)
    scores = array([0.5, 0.5, 0.5, 0.6, 0.5, 0.5])
    assert simota(scores, predicted, CENTERS, STRIDES, box).tolist() == [-1, -1, -1, 0, -1, -1]


def test_a_cell_wanted_twice_goes_to_the_cheaper_box():
    # Boxes 0 and 1 overlap around cell 1. Its prediction is box 1 exactly; cell 0 predicts box 0.
    boxes = array([[0, 0, 16, 8], [6, 0, 22, 8]])
    predicted = array(
        [[0, 0, 16, 8], [6, 0, 22, 8], [6, 0, 22, 8], *([[90, 0, 91, 1]] * 3)],
    )
    scores = array([0.5] * 6)
    # IoU of the two boxes: 10 / 22. Box 0: 1 + 2 x 0.4545 = 1.9, one cell: cell 0.
    # Box 1: 0.4545 + 1 + 1 = 2.45, two cells: 1 and 2.
    assert simota(scores, predicted, CENTERS, STRIDES, boxes).tolist() == [0, 1, 1, -1, -1, -1]
    # If cell 0 predicts box 1 too: box 0 has 3 x 0.4545 = 1.36, one cell; of cells 0 and 1, inside
    # it and equal in cost, it wants the first; box 1 has IoUs of 3 and wants cells 0, 1 and 2,
    # among them cell 0, whose centre lies outside it and which is the dearest by far, however:
    # cell 0 goes to box 0.
    predicted[0] = predicted[1]
    assert simota(scores, predicted, CENTERS, STRIDES, boxes).tolist() == [0, 1, 1, -1, -1, -1]


def test_a_cell_wanted_twice_may_go_to_a_third_box():
    boxes = array([[24, 0, 44, 8], [24, 0, 48, 8], [16, 0, 32, 8]])
    predicted = array(
        [*([[90, 0, 91, 1]] * 2), [16, 0, 32, 8], [20, 0, 36, 8], *([[90, 0, 91, 1]] * 2)]
    )
    scores = array([0.5] * 6)
    # IoUs of cells 2 and 3: box 0 has 8 / 28 and 12 / 24, box 1 has 8 / 32 and 12 / 28, box 2 has 1
    # and 12 / 20. No sum reaches 2, so each box gets one cell. Cell 2 lies outside boxes 0 and 1,
    # which both want cell 3; box 2 wants cell 2. For cell 3 box 2 is the cheapest of the three: 0.6
    # ln 2 + 6 x 0.4 = 2.8, against 0.5 ln 2 + 6 x 0.5 = 3.3 and 3.7.
    assert simota(scores, predicted, CENTERS, STRIDES, boxes).tolist() == [-1, -1, 2, 2, -1, -1]


def test_cells_of_one_level_do_not_reach_for_far_middles():
    # A truth of 48 px on cells of stride 8: its middle is at x = 24, near means within 20 px.
    box = array([[0, 0, 48, 8]])
    predicted = np.repeat(box, 6, axis=0)
    # All predict it: IoUs sum to 6. All six lie in the box; cells 0 and 5, 20 px from the middle,
    # are not near (20 < 20 fails) and come last, but come, since six are wanted.
    scores = array([0.5] * 6)
    assert simota(scores, predicted, CENTERS, STRIDES, box).tolist() == [0] * 6
    # Half the IoU: 3.0 → three cells, and the far ones are out whatever they predict.
    predicted[:] = [0, 0, 24, 8]
    predicted[[0, 5]] = box
    # IoUs 1, 0.5 x 4, 1: sum 4.
    assert simota(scores, predicted, CENTERS, STRIDES, box).tolist() == [-1, 0, 0, 0, 0, -1]


def test_no_boxes_no_cells():
    empty = np.zeros((0, 4), np.float32)
    predicted = array([[0, 0, 8, 8]] * 6)
    assert simota(array([0.5] * 6), predicted, CENTERS, STRIDES, empty).tolist() == [-1] * 6
    assert atss(CENTERS, STRIDES, empty).tolist() == [-1] * 6


def test_a_box_outside_every_cell_is_left_alone():
    box = array([[200, 200, 210, 210]])
    predicted = array([[0, 0, 8, 8]] * 6)
    assert simota(array([0.5] * 6), predicted, CENTERS, STRIDES, box).tolist() == [-1] * 6


def test_atss_takes_what_overlaps_unusually_well():
    # One level of 8 x 8 cells of stride 8; a cell stands for 40 px. The truth is such a square
    # around cell (3, 3), whose centre is (28, 28).
    centers, strides = grid(64, 64, (8,))
    box = array([[8, 8, 48, 48]])
    # Candidates: the cell itself (IoU 1), its 4 neighbours (32 x 40 of 3200 - 1280: 2/3) and the 4
    # across (32 x 32 of 3200 - 1024: 0.4706). Mean 0.6165, standard deviation 0.1724: only the
    # first exceeds 0.789.
    assigned = atss(centers, strides, box)
    assert np.flatnonzero(assigned == 0).tolist() == [3 * 8 + 3]


def test_atss_chooses_the_level_that_fits():
    centers, strides = grid(128, 128, (8, 16, 32))
    # 80 px: the squares of stride 16. Of its nine candidates the middle one at (56, 56) fits
    # exactly; IoUs of stride 8 are at most 1/4 and of stride 32 at most 6400 / 25600 = 1/4.
    assigned = atss(centers, strides, array([[16, 16, 96, 96]]))
    chosen = np.flatnonzero(assigned == 0)
    assert set(strides[chosen]) == {16}
    assert [56, 56] in centers[chosen].tolist()


def test_atss_gives_a_cell_to_the_box_it_overlaps_best():
    centers, strides = grid(64, 64, (8,))
    # Both hold the cell at (28, 28) and would take it; the first is its square exactly.
    boxes = array([[8, 8, 48, 48], [8, 8, 48, 44]])
    assigned = atss(centers, strides, boxes)
    assert assigned[3 * 8 + 3] == 0
