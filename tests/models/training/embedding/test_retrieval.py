import math

import numpy as np
import pytest

from models.training.embedding.retrieval import Embeddings, ask, evaluate, rejecting


def at(degrees, identities, images):
    angles = np.radians(np.asarray(degrees, np.float32))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Embeddings(vectors[:, None], list(identities), list(images))


def test_a_worked_ranking():
    # For the query at 0° the gallery ranks b, a, a, b, c, a, c: right at 2, 3 and 6.
    gallery = at([10, 20, 30, 40, 50, 60, 70], "baabcac", "1234567")
    found = evaluate(at([0], "a", "q"), gallery)
    assert (found.recall_1, found.recall_5, found.queries) == (0, 1, 1)
    assert found.mean_ap == pytest.approx((1 / 2 + 2 / 3 + 3 / 6) / 3)
    # From the other end c, a, c, b, a, a, b: c is right at 1 and 3.
    both = evaluate(at([0, 90], "ac", "qr"), gallery)
    assert (both.recall_1, both.recall_5, both.queries) == (0.5, 1, 2)
    assert both.mean_ap == pytest.approx(((1 / 2 + 2 / 3 + 3 / 6) / 3 + (1 + 2 / 3) / 2) / 2)


def test_five_are_looked_at_and_no_more():
    gallery = at([10, 20, 30, 40, 50, 60], "bbbbba", "123456")
    found = evaluate(at([0], "a", "q"), gallery)
    assert (found.recall_1, found.recall_5) == (0, 0)
    assert found.mean_ap == pytest.approx(1 / 6)
    assert evaluate(at([15], "a", "q"), at([10, 20, 30, 40, 50], "bbbba", "12345")).recall_5 == 1


def test_a_query_does_not_find_its_own_image():
    # Each among all: 0° and 30° are a, 10° is b alone, which has nothing to find.
    all_ = at([0, 10, 30], "aba", "xyz")
    found = evaluate(all_, all_)
    assert found.queries == 2
    assert found.recall_1 == 0
    assert found.mean_ap == pytest.approx(1 / 2)


def test_two_entries_of_one_image_are_both_its_own():
    gallery = at([0, 5, 20, 40], "aaba", "xxyz")
    found = evaluate(at([0], "a", "x"), gallery)
    assert (found.recall_1, found.recall_5, found.mean_ap) == (0, 1, 0.5)


def test_nothing_to_find_is_an_error_and_not_a_zero():
    with pytest.raises(ValueError, match="no query"):
        evaluate(at([0], "a", "q"), at([10], "b", "1"))


def test_perfect_and_random_embeddings_are_where_they_should_be():
    rng = np.random.default_rng(0)
    identities = [str(i % 20) for i in range(200)]
    names = [str(i) for i in range(200)]
    centers = np.linalg.qr(rng.normal(size=(32, 32)))[0][:20].astype(np.float32)
    perfect = Embeddings(centers[np.arange(200) % 20, None], identities, names)
    assert evaluate(perfect, perfect).mean_ap == 1
    noise = rng.normal(size=(200, 32)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    chance = evaluate(*[Embeddings(noise[:, None], identities, names)] * 2)
    assert chance.recall_1 < 0.15
    # 9 right among 199: five draws miss all with (190 / 199)^5.
    assert chance.recall_5 == pytest.approx(1 - math.pow(190 / 199, 5), abs=0.1)
    assert chance.queries == 200


def test_images_are_as_alike_as_their_most_alike_views():
    views = at([0, 90, 50, 55], "aabb", "1122").vectors.reshape(2, 2, 2)
    gallery = Embeddings(views, ["a", "b"], ["1", "2"])
    [answer] = ask(Embeddings(views[:1], ["b"], ["q"]), gallery)
    # The query's own views are in the gallery, as a: b is 35 degrees away, from 90 to 55.
    assert (answer.place, answer.right, answer.wrong) == (1, 1, 0)
    assert answer.right_score == pytest.approx(math.cos(math.radians(35)), abs=1e-6)
    assert answer.wrong_score == pytest.approx(1)


def test_a_twentieth_of_strangers_would_be_let_in():
    gallery = at([*range(0, 42, 2), 180], "a" + "b" * 20 + "a", [str(i) for i in range(22)])
    queries = at(range(60, 81), "a" * 21, [f"q{i}" for i in range(21)])
    answers = ask(queries, gallery)
    # The nearest b is at 40 degrees: strangers score the cosines of 20 to 40 degrees.
    reached = [answer.wrong_score >= rejecting(answers) - 1e-6 for answer in answers]
    assert sum(reached) == 2
    with pytest.raises(ValueError, match="strangers"):
        rejecting([])
