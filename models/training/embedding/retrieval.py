"""How well embeddings find their kind: recall@k and mAP, query against gallery."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_ACCEPTS = 0.05  # of products that are not enrolled: what a pack's threshold lets through


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors float32 [N, V, D] of unit length, the identity each shows, and whose image it is.

    An image has V vectors, of as many views, the whole first: two images are as alike as their most
    alike views, but wholes are not compared where there are others, as in the gallery. `images` are
    names: a query does not find the entry made of its own image.
    """

    vectors: NDArray[np.float32]
    identities: Sequence[str]
    images: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query found. `query` and the others are places in the queries and the gallery.

    `place`: of the first right image, from 0. `precision`: mean, over all right images, of the
    share of right ones down to each. `wrong` is None where the gallery holds nothing else.
    """

    query: int
    place: int
    precision: float
    right: int
    right_score: float
    wrong: int | None
    wrong_score: float


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Shares in 0..1, and the queries that had anything to find."""

    recall_1: float
    recall_5: float
    mean_ap: float
    queries: int


def ask(queries: Embeddings, gallery: Embeddings) -> list[Answer]:
    """Rank the gallery for each query by inner product.

    Queries whose identity has no other image in the gallery are left out.
    """
    identities, images = np.asarray(gallery.identities), np.asarray(gallery.images)
    count, views, dimension = gallery.vectors.shape
    rows = gallery.vectors.reshape(count * views, dimension)
    answers = []
    for query, (vectors, identity, image) in enumerate(
        zip(queries.vectors, queries.identities, queries.images, strict=True)
    ):
        pairs = (rows @ vectors.T).reshape(count, views, len(vectors))
        if views > 1:  # what two whole images share may be the place
            pairs[:, 0, 0] = -1
        scores = pairs.max(axis=(1, 2))
        ranking = np.argsort(-scores, kind="stable")
        ranking = ranking[images[ranking] != image]
        right = identities[ranking] == identity
        places, others = np.flatnonzero(right), np.flatnonzero(~right)
        if not len(places):
            continue
        first = int(ranking[places[0]])
        wrong = int(ranking[others[0]]) if len(others) else None
        answers.append(
            Answer(
                query=query,
                place=int(places[0]),
                precision=float(np.mean(np.arange(1, len(places) + 1) / (places + 1))),
                right=first,
                right_score=float(scores[first]),
                wrong=wrong,
                wrong_score=-1.0 if wrong is None else float(scores[wrong]),
            )
        )
    return answers


def summary(answers: Sequence[Answer]) -> Retrieval:
    """recall@k: an image of the query's identity is among the k best.

    Raises:
        ValueError: there is no answer.
    """
    if not answers:
        raise ValueError("no query has another image of its identity in the gallery")
    places = np.asarray([answer.place for answer in answers])
    return Retrieval(
        recall_1=float(np.mean(places < 1)),
        recall_5=float(np.mean(places < 5)),
        mean_ap=float(np.mean([answer.precision for answer in answers])),
        queries=len(answers),
    )


def rejecting(answers: Sequence[Answer]) -> float:
    """The score that a twentieth of these queries would reach without their product enrolled.

    Raises:
        ValueError: no answer has a wrong image to tell it.
    """
    scores = [answer.wrong_score for answer in answers if answer.wrong is not None]
    if not scores:
        raise ValueError("no query tells what strangers score")
    return float(np.quantile(scores, 1 - FALSE_ACCEPTS))


def evaluate(queries: Embeddings, gallery: Embeddings) -> Retrieval:
    """`summary` of what the queries find.

    Raises:
        ValueError: no query has anything to find.
    """
    return summary(ask(queries, gallery))
