"""An embedder with what it learns by: a neck and an identity classifier."""

import paddle
from paddle import Tensor, nn

from models.nets.pp_lcnet_v2 import PPLCNetV2ShiTu, frozen_bias
from models.training.embedding.losses import identity_head
from models.training.embedding.weights import Embedder, dimension_of


class Learner(nn.Layer):
    """Features [N, D] for the margins between cosines, and logits [N, identities].

    PP-LCNetV2 "ShiTu" serves its neck's output, and both losses are on it. Another embedder keeps
    the space that its vectors lie in: it gets a neck between features and classifier that only
    training knows, as in "Bag of Tricks and a Strong Baseline for Deep Person Re-identification"
    (Luo et al., CVPR Workshops 2019).
    """

    def __init__(self, embedder: Embedder, identities: int) -> None:
        super().__init__()
        self.embedder = embedder
        shitu = isinstance(embedder, PPLCNetV2ShiTu)
        features = dimension_of(embedder)
        self.neck = nn.Identity() if shitu else nn.BatchNorm1D(features, bias_attr=frozen_bias())
        self.head = identity_head(features, identities)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.embedder(images)
        return features, self.head(self.neck(features))


@paddle.no_grad()  # type: ignore[untyped-decorator]
def spread(embedder: Embedder, images: Tensor) -> None:
    """Make features of these images [N, 3, H, W], in place, about 1 in each of their dimensions.

    A pack's are served at unit length, whatever theirs is. But a neck that sees a spread of 0.03
    makes steps thirty times as long: five of them turned all vectors of a pack to one side.
    """
    if isinstance(embedder, PPLCNetV2ShiTu):  # its own neck, a batch norm, sees to that
        return
    embedder.eval()
    length = embedder(images).norm(axis=1).mean()
    factor = dimension_of(embedder) ** 0.5 / length
    embedder.fc.weight.set_value(embedder.fc.weight * factor)
    embedder.fc.bias.set_value(embedder.fc.bias * factor)
