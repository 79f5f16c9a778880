"""A linear projection of frozen features that brings views of one product together.

Within-class covariance normalisation: directions in which photographs of one product differ (light,
angle, background) are damped, then the 512 directions of most remaining variance are kept. Source:
Hatch, Kajarekar and Stolcke, "Within-Class Covariance Normalization for SVM-Based Speaker
Recognition", Interspeech 2006.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
# Weight [D, dimension] and bias [dimension].
Projection = tuple[NDArray[np.float32], NDArray[np.float32]]


def within_class_covariance(features: Matrix, identities: Sequence[str]) -> Matrix:
    """Mean over identities of the covariance around the identity's own mean, [D, D].

    Identities seen once say nothing about it and are left out; each other one counts by the square
    root of its photographs, so that one product's hundred frames do not decide for all.

    Raises:
        ValueError: no identity has two rows.
    """
    _, index, counts = np.unique(np.asarray(identities), return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, index, features)
    means /= counts[:, None]
    seen_again = counts[index] > 1
    if not seen_again.any():
        raise ValueError("no identity has two photographs")
    weights = counts[index][seen_again] ** -0.5
    residuals = (features - means[index])[seen_again]
    covariance: Matrix = (residuals.T * weights) @ residuals / weights.sum()
    return covariance


def balance(
    features: NDArray[np.float32], widths: Sequence[int], share: float
) -> NDArray[np.float32]:
    """Factors [D] by which groups of features come to compare: the first counts 1, others `share`.

    Statistics of different maps differ in scale and number, and what shrinkage keeps of a group
    depends on both. Afterwards the total standard deviation of the first group is 1 and that of
    each other one `share`.

    Args:
        features: [N, D].
        widths: features of each group, in their order; their sum is D.
        share: of the standard deviation, above 0.
    """
    starts = np.cumsum([0, *widths[:-1]])
    deviations = np.sqrt(np.add.reduceat(features.var(axis=0, dtype=np.float64), starts))
    shares = np.full(len(widths), share)
    shares[0] = 1
    return np.repeat(shares / deviations, widths).astype(np.float32)


def fit_projection(
    features: NDArray[np.float32],
    identities: Sequence[str],
    domains: Sequence[str],
    *,
    dimension: int,
    shrinkage: float,
    nuisance: Matrix | None = None,
) -> Projection:
    """Weight [D, dimension] and bias [dimension] such that features @ weight + bias compare well.

    Args:
        features: pooled features [N, D], not normalised.
        identities: product of each row.
        domains: data set of each row; each counts alike, however many photographs it has.
        dimension: directions kept, at most D.
        shrinkage: 0 trusts the covariance measured, 1 ignores it (plain principal components).
        nuisance: a covariance [D, D] of changes that the photographs do not show but that shall be
            damped, too; its trace says how much, where that of the photographs' own is 1.

    Raises:
        ValueError: a domain has no identity with two photographs.
    """
    rows = features.astype(np.float64)
    names, of_domain = np.unique(np.asarray(domains)), np.asarray(domains)
    within = np.mean(
        [
            within_class_covariance(
                rows[of_domain == name], np.asarray(identities)[of_domain == name]
            )
            for name in names
        ],
        axis=0,
    )
    if nuisance is not None:
        within = within + nuisance * np.trace(within)
    isotropic = np.eye(len(within)) * np.trace(within) / len(within)
    values, vectors = np.linalg.eigh((1 - shrinkage) * within + shrinkage * isotropic)
    whiten = (vectors * values**-0.5) @ vectors.T
    mean = rows.mean(axis=0)
    spread = whiten @ np.cov(rows.T) @ whiten
    _, directions = np.linalg.eigh(spread)
    weight = whiten @ directions[:, ::-1][:, :dimension]
    # The length of a vector is taken out later; a moderate one keeps float32 well within range.
    weight /= np.sqrt((((rows - mean) @ weight) ** 2).sum(axis=1).mean())
    return weight.astype(np.float32), (-mean @ weight).astype(np.float32)
