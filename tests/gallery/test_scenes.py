import numpy as np
import pytest

from gallery.scenes import best_scores, scene_rows, scenes_of, scores


@pytest.mark.parametrize(
    ("count", "flags"), [(0, []), (1, [False]), (2, [True, False]), (3, [True, False, False])]
)
def test_the_first_of_several_vectors_is_of_the_scene(count: int, flags: list[bool]) -> None:
    assert scenes_of(count).tolist() == flags


def test_rows_of_many_photographs_are_told_as_those_of_each() -> None:
    counts = [1, 2, 1, 1, 3, 2, 2, 1]
    images = np.repeat(np.arange(len(counts)), counts)
    assert (scene_rows(images) == np.concatenate([scenes_of(count) for count in counts])).all()
    assert len(scene_rows(images[:0])) == 0


def test_all_but_two_scenes_are_compared() -> None:
    vectors = np.eye(2, dtype=np.float32)
    both = np.array([True, False])
    assert scores(vectors, both, vectors, both).tolist() == [[-1, 0], [0, 1]]
    assert scores(vectors, ~both, vectors, both).tolist() == [[1, 0], [-1, 1]]


def test_a_photograph_scores_as_its_best_vector_that_is_compared() -> None:
    place, body = np.eye(2, dtype=np.float32)
    photograph = np.stack([place, body])
    asked, scenes = np.stack([place, place, body]), np.array([True, False, True])
    assert best_scores(asked, scenes, photograph).tolist() == [0, 1, 1]
    # Where no body was found, the whole is compared with scenes as well.
    assert best_scores(asked, scenes, photograph[:1]).tolist() == [1, 1, 0]
