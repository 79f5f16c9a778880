import pytest

from models.training.kept_out import kept_out


@pytest.mark.parametrize(("all_of_them", "out"), [(1, 1), (6, 2), (14, 3), (15, 3), (100, 20)])
def test_a_fifth_is_a_fifth_of_few_too(all_of_them, out):
    for letter in "abcdef":
        assert len(kept_out(f"{letter}{number}" for number in range(all_of_them))) == out


def test_most_stay_on_their_side_when_others_come():
    few = [f"product {number}" for number in range(50)]
    before, after = kept_out(few), kept_out([*few, *(f"new {number}" for number in range(10))])
    assert len(after) == 12
    assert len(before & after) >= 7
