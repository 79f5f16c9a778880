"""What a reference would change: leave-one-out recall where it would be felt, before it is added.

Only the references of its own product and of the products most like it are asked again. The others
are further away from it than from these, so they go on being found, or missed, as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.calibration.calibration import SAME_PICTURE, same_picture
from gallery import Candidate, Contents, SearchesContents, UnknownProduct
from gallery.leaning import product_scores
from gallery.scenes import best_scores, scenes_of

# Products most like the new reference whose references are asked.
_NEAREST = 20
_AT_ONCE = 32
# Own product and one other, and some that are left out because they hold the same picture.
_DEEP = 4
# Of what is compared with nothing.
_NONE = float("-inf")

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Missed:
    """A reference that would be found as something else than its product.

    `image_id` is None for a new one, `other_product_id` for a negative; scores by its own product's
    other references, and by what it would be taken for.
    """

    image_id: str | None
    product_id: str
    own_score: float
    other_product_id: str | None
    other_score: float


@dataclass(frozen=True, slots=True)
class Effect:
    """Leave-one-out recall@1 before and after; None where no reference has others of its product.

    `references`: how many were asked before.
    """

    references: int
    recall_before: float | None
    recall_after: float | None
    newly_missed: list[Missed]
    newly_found: list[str]

    @property
    def lowers_recall(self) -> bool:
        return (
            self.recall_before is not None
            and self.recall_after is not None
            and self.recall_after < self.recall_before
        )


@dataclass(slots=True, eq=False)
class _Asked:
    """A reference [V, D], new where it has no id, with its best score by its own and by others.

    `siblings`: of its product, but for those that are the same picture. `elsewhere`: the best other
    product, but for the one that gets references, and its score.
    """

    image_id: str | None
    product_id: str
    vectors: Vectors
    siblings: list[Vectors]
    own: float = _NONE
    other_product_id: str | None = None
    other: float = _NONE
    elsewhere: tuple[float, str | None] = (_NONE, None)

    def __post_init__(self) -> None:
        self.own = _score(self.vectors, self.siblings)

    @property
    def counts(self) -> bool:
        return self.own > _NONE

    @property
    def found(self) -> bool:
        return self.own > self.other

    def missed(self) -> Missed:
        return Missed(self.image_id, self.product_id, self.own, self.other_product_id, self.other)


def predict(
    gallery: SearchesContents,
    product_id: str | None,
    added: Sequence[Vectors],
    proceed: Callable[[], None] = lambda: None,
) -> Effect:
    """What adding references to a product would change.

    Args:
        gallery: may be searched and changed meanwhile.
        product_id: that gets them; None: they become negatives, which are no product's.
        added: vectors [V, D] of each, of unit length.
        proceed: called now and then; what it raises ends the work.
    """
    rows = _search(gallery, added, _NEAREST)
    near = {candidate.product_id for row in rows for candidate in row}
    if product_id is not None:
        near.add(product_id)
    with gallery.contents() as contents:
        asked = [one for name in sorted(near) for one in _references(contents, name)]
    for start in range(0, len(asked), _AT_ONCE):
        proceed()
        _compare_with_others(gallery, asked[start : start + _AT_ONCE], product_id)
    before = [(one.counts, one.found) for one in asked]
    known = [one.vectors for one in asked if one.product_id == product_id]
    for one in asked:
        proceed()
        if product_id is None:
            _meet_negatives(one, added)
        else:
            _meet_references(one, product_id, known, added)
    new = []
    if product_id is not None:
        for place, vectors in enumerate(added):
            siblings = [*known, *added[:place], *added[place + 1 :]]
            new.append(_Asked(None, product_id, vectors, _not_the_same(vectors, siblings)))
        _compare_with_others(gallery, new, product_id)
    return Effect(
        references=sum(counted for counted, _ in before),
        recall_before=_share(found for counted, found in before if counted),
        recall_after=_share(one.found for one in (*asked, *new) if one.counts),
        newly_missed=[
            *(
                one.missed()
                for one, (counted, found) in zip(asked, before, strict=True)
                if one.counts and not one.found and (found or not counted)
            ),
            *(one.missed() for one in new if one.counts and not one.found),
        ],
        newly_found=[
            one.image_id
            for one, (counted, found) in zip(asked, before, strict=True)
            if one.image_id and one.found and counted and not found
        ],
    )


def _references(contents: Contents, product_id: str) -> Iterator[_Asked]:
    try:
        stored = contents.vectors(product_id)
    except UnknownProduct:
        return  # deleted since it was found
    rows = {name: vectors.astype(np.float32) for name, vectors in stored.items()}
    for name, vectors in rows.items():
        siblings = [others for other, others in rows.items() if other != name]
        yield _Asked(name, product_id, vectors, _not_the_same(vectors, siblings))


def _not_the_same(vectors: Vectors, others: Sequence[Vectors]) -> list[Vectors]:
    return [other for other in others if not same_picture(vectors, other)]


def _compare_with_others(
    gallery: SearchesContents, asked: Sequence[_Asked], product_id: str | None
) -> None:
    rows = iter(_search(gallery, [one.vectors for one in asked], _DEEP))
    for one in asked:
        for _ in one.vectors:
            for candidate in next(rows):
                if candidate.product_id == one.product_id or candidate.likeness >= SAME_PICTURE:
                    continue
                if candidate.score > one.other:
                    one.other, one.other_product_id = candidate.score, candidate.product_id
                if candidate.product_id != product_id and candidate.score > one.elsewhere[0]:
                    one.elsewhere = candidate.score, candidate.product_id


def _meet_references(
    one: _Asked, product_id: str, known: Sequence[Vectors], added: Sequence[Vectors]
) -> None:
    """Let a reference be found by more of `product_id`, which has the `known` ones."""
    if one.product_id == product_id:
        one.own = _score(one.vectors, [*one.siblings, *_not_the_same(one.vectors, added)])
        return
    score = _score(one.vectors, _not_the_same(one.vectors, [*known, *added]))
    one.other, one.other_product_id = one.elsewhere
    if score > one.other:
        one.other, one.other_product_id = score, product_id


def _meet_negatives(one: _Asked, added: Sequence[Vectors]) -> None:
    """Negatives are compared as they are (app.feedback.negatives)."""
    for vectors in added:
        score = float(best_scores(one.vectors, scenes_of(len(one.vectors)), vectors).max())
        if score > one.other:
            one.other, one.other_product_id = score, None


def _search(gallery: SearchesContents, asked: Sequence[Vectors], k: int) -> list[list[Candidate]]:
    """For each vector of each reference its best products."""
    scenes = np.concatenate([scenes_of(len(vectors)) for vectors in asked])
    return gallery.search(np.concatenate(asked), k, scenes=scenes).candidates


def _score(vectors: Vectors, references: Sequence[Vectors]) -> float:
    """By the best of a product's references; -inf where it has none."""
    if not references:
        return _NONE
    return float(product_scores(vectors, scenes_of(len(vectors)), references).max())


def _share(found: Iterator[bool]) -> float | None:
    counted = list(found)
    return sum(counted) / len(counted) if counted else None
