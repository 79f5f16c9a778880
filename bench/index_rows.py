"""Whether a gallery's index holds what its database does: every vector is compared."""

import numpy as np

from gallery import Gallery, store


def disagreeing(gallery: Gallery) -> int:
    """How many rows of the index, in their order, are not the database's, while nobody writes."""
    view = gallery._index.view
    base, delta = view.base_alive, view.delta.alive
    images = np.concatenate([view.base.images[base], view.delta.images[delta]])
    products = np.concatenate([view.base.products[base], view.delta.products[delta]])
    # Exact: the delta's float32 values came from float16.
    pending = view.delta.vectors[delta].astype(np.float16)
    vectors = np.concatenate([view.base.vectors[base], pending])
    right = stored = 0
    with gallery._database.read() as db:
        for rows in store.vectors_after(db, 0, store.state(db).dimension):
            held = slice(stored, stored + len(rows.images))
            same = len(images[held])
            agreeing = (
                (images[held] == rows.images[:same])
                & (products[held] == rows.products[:same])
                & (vectors[held] == rows.vectors[:same]).all(axis=1)
            )
            right += int(np.count_nonzero(agreeing))
            stored += len(rows.images)
    return max(len(images), stored) - right
