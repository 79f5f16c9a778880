import numpy as np
import pytest

from models.training.projection import balance, fit_projection, within_class_covariance


def recall(vectors, identities):
    """Leave-one-out recall@1."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    return float(np.mean(identities[scores.argmax(axis=1)] == identities))


def products(rng, count, views):
    """Identities in 8 of 24 directions, drowned in nuisance in 4 more; [rows, 24]."""
    identities = np.arange(count).repeat(views)
    rows = rng.normal(0, 0.1, (count * views, 24))
    rows[:, :8] += rng.normal(0, 1, (count, 8))[identities]
    rows[:, 8:12] += rng.normal(0, 6, (count * views, 4))
    return rows.astype(np.float32), identities


def test_within_class_covariance_of_a_case_by_hand():
    rows = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0], [5.0, 9.0], [100.0, 100.0]])
    # Around their means: (∓1, 0) of "a", (0, ∓2) of "b"; "c" is seen once and says nothing.
    covariance = within_class_covariance(rows, ["a", "a", "b", "b", "c"])
    np.testing.assert_allclose(covariance, [[0.5, 0.0], [0.0, 2.0]])


def test_identities_seen_once_cannot_be_fitted():
    with pytest.raises(ValueError, match="two photographs"):
        within_class_covariance(np.eye(3), ["a", "b", "c"])


def test_unseen_products_are_told_apart_better_than_by_the_features_themselves():
    rng = np.random.default_rng(1)
    seen, names = products(rng, 60, 6)
    weight, bias = fit_projection(
        seen, [str(n) for n in names], ["made"] * len(names), dimension=8, shrinkage=0.05
    )
    unseen, others = products(rng, 40, 4)
    assert weight.shape == (24, 8)
    assert bias.shape == (8,)
    assert recall(unseen, others) < 0.5
    assert recall(unseen @ weight + bias, others) > 0.95


def test_full_shrinkage_is_plain_principal_components():
    rng = np.random.default_rng(2)
    rows, names = products(rng, 30, 4)
    weight, bias = fit_projection(
        rows, [str(n) for n in names], ["made"] * len(names), dimension=4, shrinkage=1.0
    )
    # The strongest four directions are the nuisance; nothing else is left of the features.
    assert np.abs(weight[8:12]).max() > 20 * np.abs(np.delete(weight, range(8, 12), axis=0)).max()
    np.testing.assert_allclose((rows @ weight + bias).mean(axis=0), 0, atol=1e-4)


def test_changes_that_the_photographs_do_not_show_can_be_damped_too():
    rng = np.random.default_rng(5)
    rows, names = products(rng, 60, 4)
    nuisance = np.diag([10.0, *[0.0] * 23])
    fitted = [
        fit_projection(
            rows,
            [str(n) for n in names],
            ["made"] * len(names),
            dimension=8,
            shrinkage=0.05,
            nuisance=other,
        )[0]
        for other in (None, nuisance)
    ]
    # The first of the directions in which products differ: how much of it is left.
    before, after = (np.linalg.norm(weight[0]) / np.linalg.norm(weight[1]) for weight in fitted)
    assert after < 0.1 * before


def test_every_domain_counts_alike():
    rng = np.random.default_rng(3)
    first = rng.normal(0, [1.0, 0.1, 1.0], (200, 3)).astype(np.float32)
    second = rng.normal(0, [0.1, 1.0, 1.0], (20, 3)).astype(np.float32)
    names = [f"p{n // 10}" for n in range(220)]
    weight, _ = fit_projection(
        np.concatenate([first, second]),
        names,
        ["many"] * 200 + ["few"] * 20,
        dimension=3,
        shrinkage=0.0,
    )
    # What varies within the small domain is damped as much as what varies within the large one.
    strength = np.linalg.norm(weight, axis=1)
    assert 0.7 < strength[0] / strength[1] < 1.4


def test_groups_of_features_come_to_the_share_asked_for():
    rng = np.random.default_rng(4)
    rows = rng.normal(3, [5.0, 5.0, 0.1, 40.0, 2.0, 7.0], (500, 6)).astype(np.float32)
    balanced = rows * balance(rows, [2, 1, 3], share=0.5)
    totals = [balanced[:, group].var(axis=0).sum() ** 0.5 for group in ([0, 1], [2], [3, 4, 5])]
    np.testing.assert_allclose(totals, [1, 0.5, 0.5], rtol=1e-4)
    # Within a group nothing changes.
    np.testing.assert_allclose(balanced[:, 3] / balanced[:, 4], rows[:, 3] / rows[:, 4], rtol=1e-4)
