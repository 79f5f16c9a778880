"""What features learn from: an identity classifier, and margins between their cosines.

Sources: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016 (label smoothing);
Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737
(batch-hard); PP-ShiTuV2's published TripletAngularMarginLoss and its settings.
"""

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F  # noqa: N812

SMOOTHING = 0.1
HEAD_STD = 0.001

MARGIN = 0.5
POSITIVE_COSINE = 0.8
NEGATIVE_COSINE = 0.4
ABSOLUTE_WEIGHT = 0.1


def identity_head(features: int, identities: int) -> nn.Linear:
    """The linear layer that tells identities while training, [N, features] → [N, identities].

    Without bias: an identity is where its features point, not how often it comes.
    """
    weight = paddle.ParamAttr(initializer=nn.initializer.Normal(std=HEAD_STD))
    return nn.Linear(features, identities, weight_attr=weight, bias_attr=False)


def smoothed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy with a target of 0.9 on the label, 0.1 shared by all identities alike.

    Args:
        logits: [N, identities].
        labels: int64 [N].

    Returns:
        The mean, a scalar.
    """
    log_p = F.log_softmax(logits, axis=-1)
    of_label = paddle.take_along_axis(log_p, labels.unsqueeze(1), axis=1).squeeze(1)
    return -((1 - SMOOTHING) * of_label + SMOOTHING * log_p.mean(axis=-1)).mean()


def triplet_angular_margin(features: Tensor, labels: Tensor) -> Tensor:
    """For each image, its worst cosines: `ap` with its own identity, `an` with any other.

    Mean of max(0, 0.5 - (ap - an)), plus 0.1 times what `ap` is below 0.8 and `an` above 0.4. The
    reference puts 1 for images whose `an` is not above 0.4: a step without a slope, here 0.

    Args:
        features: [N, D], of any length.
        labels: int64 [N]; an image alone with its label has itself as positive, and where there is
            one label only, nothing is too near.

    Returns:
        A scalar.
    """
    unit = F.normalize(features, axis=-1)
    cosines = unit @ unit.t()
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    highest, lowest = (paddle.full_like(cosines, end) for end in (1, -1))
    ap = paddle.amin(paddle.where(same, cosines, highest), axis=1)
    an = paddle.amax(paddle.where(same, lowest, cosines), axis=1)
    ranking = F.relu(MARGIN - (ap - an)).mean()
    absolute = F.relu(POSITIVE_COSINE - ap).mean() + F.relu(an - NEGATIVE_COSINE).mean()
    return ranking + ABSOLUTE_WEIGHT * absolute
