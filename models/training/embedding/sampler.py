"""Which images make a batch: P identities, K images of each."""

from collections.abc import Iterator, Sequence

import numpy as np

from models.errors import ModelError

IMAGES_OF_IDENTITY = 4


def identity_batches(
    labels: Sequence[int], *, batch: int, seed: int, epoch: int
) -> Iterator[list[int]]:
    """One epoch of batches, as many as the images would fill; each a list of places in `labels`.

    Identities come equally often, however many images they have: they are dealt from a shuffled
    deck, and the deck is shuffled anew when too few are left for a batch. An identity of fewer
    than 4 images repeats them, as evenly as can be. The same arguments give the same batches.

    Raises:
        ModelError: `batch` is no multiple of 4, or there are too few identities for one.
    """
    identities, drawn = np.unique(np.asarray(labels), return_inverse=True)
    images = [np.flatnonzero(drawn == identity) for identity in range(len(identities))]
    count = batch // IMAGES_OF_IDENTITY
    if batch % IMAGES_OF_IDENTITY or count < 2:
        raise ModelError(f"A batch is of two or more identities, 4 images of each, not of {batch}")
    if len(images) < count:
        raise ModelError(f"{len(images)} identities are too few for batches of {count}")
    return _dealt(images, count, max(1, len(labels) // batch), np.random.default_rng([seed, epoch]))


def _dealt(
    images: list[np.ndarray], count: int, batches: int, rng: np.random.Generator
) -> Iterator[list[int]]:
    deck: list[int] = []
    for _ in range(batches):
        if len(deck) < count:
            deck = rng.permutation(len(images)).tolist()
        hand, deck = deck[:count], deck[count:]
        # Beyond its length, resize() repeats what it is given from the start.
        shown = [np.resize(rng.permutation(images[i]), IMAGES_OF_IDENTITY) for i in hand]
        yield np.concatenate(shown).tolist()
