from collections import Counter

import pytest

from models.errors import ModelError
from models.training.embedding.sampler import identity_batches

# 7 identities with 1, 2, 3, 4, 5, 6 and 40 images, in no order.
COUNTS = {10: 1, 11: 2, 12: 3, 13: 4, 14: 5, 15: 6, 16: 40}
LABELS = [label for turn in range(40) for label, count in COUNTS.items() if turn < count]


def batches(seed=0, epoch=0):
    return list(identity_batches(LABELS, batch=12, seed=seed, epoch=epoch))


def test_a_batch_has_four_images_of_each_of_its_identities():
    assert len(batches()) == len(LABELS) // 12 == 5
    for batch in batches():
        assert Counter(Counter(LABELS[i] for i in batch).values()) == {4: 3}
        assert [LABELS[i] for i in batch] == [LABELS[i] for i in batch[::4] for _ in range(4)]


def test_images_repeat_only_where_there_are_too_few():
    for batch in batches():
        for start in range(0, 12, 4):
            shown = Counter(batch[start : start + 4])
            own = COUNTS[LABELS[batch[start]]]
            assert len(shown) == min(own, 4)
            assert max(shown.values()) - min(shown.values()) <= 1


def test_identities_come_equally_often_however_many_images_they_have():
    # Of 7 identities 6 are dealt before the deck is shuffled: 2 batches. 100 epochs of 5 batches.
    dealt = Counter(LABELS[i] for epoch in range(100) for b in batches(epoch=epoch) for i in b[::4])
    assert dealt.keys() == COUNTS.keys()
    assert all(170 < times < 260 for times in dealt.values())
    for first, second, third, fourth, _ in (batches(epoch=epoch) for epoch in range(20)):
        for pair in (first + second, third + fourth):
            assert len({LABELS[i] for i in pair}) == 6


def test_seed_and_epoch_decide():
    assert batches(3, 1) == batches(3, 1)
    assert batches(3, 1) != batches(3, 2)
    assert batches(3, 1) != batches(4, 1)


def test_few_images_make_one_batch():
    assert sorted(*identity_batches([0, 1], batch=8, seed=0, epoch=0)) == [0] * 4 + [1] * 4


def test_what_cannot_be_dealt_is_refused():
    with pytest.raises(ModelError, match="7 identities are too few for batches of 8"):
        identity_batches(LABELS, batch=32, seed=0, epoch=0)
    for batch in (10, 4):
        with pytest.raises(ModelError, match=f"not of {batch}"):
            identity_batches(LABELS, batch=batch, seed=0, epoch=0)
