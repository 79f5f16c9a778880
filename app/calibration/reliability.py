"""How likely it is that a product is the right one: logistic regression on score and margin.

After Platt, "Probabilistic outputs for support vector machines", 1999.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# From this margin on, either way, a greater one tells no more.
_CLEAR = 0.1
# Of the squared weights: keeps them finite where score and margin tell everything.
_RIDGE = 0.01
_ROUNDS = 50
_SETTLED = 1e-6

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Weights of the logistic function: at 0, of the score, and of the margin."""

    constant: float
    score: float
    margin: float

    def probability(self, score: float, margin: float) -> float:
        """That the product with this score, so much better than the next one, is the right one."""
        logit = (
            self.constant
            + self.score * score
            + self.margin * float(np.clip(margin, -_CLEAR, _CLEAR))
        )
        return float(1 / (1 + np.exp(-np.clip(logit, -50, 50))))


def fit_reliability(
    scores: Numbers, margins: Numbers, right: NDArray[np.bool_], weights: Numbers
) -> Reliability:
    """The most likely one for N answers, by Newton's method.

    Args:
        scores: float64 [N], of the best product.
        margins: float64 [N], to the next one.
        right: bool [N]: whether the best product was the right one.
        weights: float64 [N]: how much each answer counts.
    """
    features = np.stack([scores, np.clip(margins, -_CLEAR, _CLEAR)])
    middle, spread = features.mean(axis=1), np.maximum(features.std(axis=1), 1e-6)
    design = np.stack([np.ones(len(scores)), *((features.T - middle) / spread).T], axis=1)
    ridge = _RIDGE * np.array([0.0, 1.0, 1.0])
    found = np.zeros(3)
    for _ in range(_ROUNDS):
        likely = 1 / (1 + np.exp(-np.clip(design @ found, -50, 50)))
        slope = design.T @ (weights * (right - likely)) - ridge * found
        bend = (design.T * (weights * likely * (1 - likely))) @ design + np.diag(ridge)
        # Where all answers are right or all are wrong the constant has no end.
        step = np.linalg.solve(bend + 1e-6 * np.eye(3), slope)
        found += step
        if np.abs(step).max() < _SETTLED:
            break
    each = found[1:] / spread
    return Reliability(float(found[0] - each @ middle), float(each[0]), float(each[1]))
