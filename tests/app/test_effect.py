"""What is predicted must be what an audit finds afterwards."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.audit.audit import Audit, audit
from app.enrolment.effect import Effect, predict
from gallery import Gallery
from tests.app.test_audit import DIMENSION, Shop
from tests.gallery.samples import opened


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path, dimension=DIMENSION) as gallery:
        yield Shop(gallery)


def look(gallery: Gallery) -> Audit:
    return audit(gallery, lambda *_: None)


def unit(vectors: NDArray) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def compare(shop: Shop, product: str, *added: NDArray) -> Effect:
    """Predict, then do it: both must tell the same recall. The gallery is small enough for all."""
    before = look(shop.gallery)
    effect = predict(shop.gallery, product, [unit(vectors) for vectors in added])
    for vectors in added:
        shop.add(product, vectors=vectors)
    after = look(shop.gallery)
    assert effect.references == before.asked
    assert effect.recall_before == pytest.approx(before.recall_at_1)
    assert effect.recall_after == pytest.approx(after.recall_at_1)
    return effect


def test_a_good_reference_harms_nobody(shop: Shop) -> None:
    centres = {f"p{n}": shop.product(f"p{n}", references=4) for n in range(12)}
    effect = compare(shop, "p3", shop.view(centres["p3"]))
    assert not effect.lowers_recall
    assert (effect.newly_missed, effect.newly_found) == ([], [])


def test_a_mislabelled_one_is_told(shop: Shop) -> None:
    centres = {f"p{n}": shop.product(f"p{n}", references=3) for n in range(12)}
    wrong = shop.view(centres["p7"], 0.1)
    effect = compare(shop, "p3", wrong)
    assert effect.lowers_recall
    (own,) = (missed for missed in effect.newly_missed if missed.image_id is None)
    assert (own.product_id, own.other_product_id) == ("p3", "p7")
    assert own.other_score > own.own_score
    # It leans to the others of p3, and those of p7 to each other: none of them is spoilt.
    assert effect.newly_missed == [own]


def test_one_of_another_product_in_a_product_of_its_own_spoils_those(shop: Shop) -> None:
    centres = {f"p{n}": shop.product(f"p{n}", references=3) for n in range(12)}
    shop.product("double")
    effect = compare(shop, "double", shop.view(centres["p7"], 0.1))
    assert effect.lowers_recall
    assert effect.newly_missed
    for missed in effect.newly_missed:
        assert (missed.product_id, missed.other_product_id) == ("p7", "double")
        assert missed.image_id is not None
        assert shop.gallery.get_image(missed.image_id).product_id == "p7"


def test_a_view_that_was_missing_finds_those_that_were_missed(shop: Shop) -> None:
    for number in range(8):
        shop.product(f"p{number}", references=3)
    back = shop.product("other", references=3)
    shop.product("jar", references=3)
    lonely = shop.add("jar", shop.view(back, 0.3)[0])  # its back, like another product's
    effect = compare(shop, "jar", shop.gallery_vectors(lonely) + 0.05 * shop.noise())
    assert effect.newly_found == [lonely]
    assert effect.recall_after is not None
    assert effect.recall_before is not None
    assert effect.recall_after > effect.recall_before


def test_several_at_once_also_find_each_other(shop: Shop) -> None:
    for number in range(8):
        shop.product(f"p{number}", references=3)
    centre = shop.product("new")
    effect = compare(shop, "new", shop.view(centre), shop.view(centre), shop.view(centre))
    assert not effect.lowers_recall


def test_the_same_picture_again_changes_nothing(shop: Shop) -> None:
    for number in range(4):
        shop.product(f"p{number}", references=3)
    centre = shop.product("jar")
    view = shop.view(centre)
    shop.add("jar", vectors=view)
    effect = compare(shop, "jar", view)
    assert effect.recall_before == effect.recall_after


def test_a_negative_like_a_product_hides_it(shop: Shop) -> None:
    centres = {f"p{n}": shop.product(f"p{n}", references=3) for n in range(6)}
    stored = look(shop.gallery)
    effect = predict(shop.gallery, None, [unit(shop.view(centres["p2"], 0.1))])
    assert effect.recall_before == stored.recall_at_1
    assert effect.lowers_recall
    assert {missed.product_id for missed in effect.newly_missed} == {"p2"}
    assert {missed.other_product_id for missed in effect.newly_missed} == {None}
    hand = predict(shop.gallery, None, [unit(shop.noise())])
    assert not hand.lowers_recall
    assert hand.newly_missed == []


def test_an_empty_gallery_has_no_recall_to_lower(shop: Shop) -> None:
    shop.product("first")
    effect = predict(shop.gallery, "first", [unit(shop.noise())])
    assert (effect.references, effect.recall_before, effect.recall_after) == (0, None, None)
    assert not effect.lowers_recall


def test_what_ends_the_work_is_passed_on(shop: Shop) -> None:
    shop.product("p", references=3)

    def gone() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        predict(shop.gallery, "p", [unit(shop.noise())], gone)
