"""What the training loop does for a feature extractor."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.nn import functional as F  # noqa: N812

from models.errors import ModelError
from models.training.ahead import made_ahead
from models.training.embedding.augmentation import plain_view
from models.training.embedding.batches import Batch, training_batches
from models.training.embedding.learner import Learner, spread
from models.training.embedding.losses import smoothed_cross_entropy, triplet_angular_margin
from models.training.embedding.pictures import Picture, by_product
from models.training.embedding.retrieval import Embeddings, evaluate
from models.training.embedding.sampler import identity_batches
from models.training.embedding.teachers import Teacher, cosines, relational_loss
from models.training.embedding.weights import Embedder
from models.training.normalisation import Normalisation
from models.training.trainer import Settings

WARM_UP_SHARE = 0.05  # the published 5 of 100 epochs


@dataclass(frozen=True, slots=True)
class EmbedderSettings(Settings):
    """`distillation`: weight of the teachers' loss beside the two others."""

    distillation: float = 0.0


class EmbedderTask:
    """Trains `embedder` to tell the products of `train`; the best finds most of `validation`.

    `validation` shows other products: recall@1 of each photograph among all the others.
    """

    decisive = "recall_1"
    weight_decay = 1e-5

    def __init__(
        self,
        embedder: Embedder,
        train: Sequence[Picture],
        validation: Sequence[Picture],
        settings: EmbedderSettings,
        normalisation: Normalisation,
        teachers: Sequence[Teacher] = (),
    ) -> None:
        """Take all there is.

        Raises:
            ModelError: `validation` has not two products twice, there are too few to train on for
                a batch, or teachers come without weight.
        """
        repeated = sum(len(pictures) > 1 for pictures in by_product(validation).values())
        if repeated < 2:
            raise ModelError(
                f"Of the products to validate with, {repeated} are in two photographs or more; "
                "two are needed to confuse them. Photograph more products twice, or give others "
                "with --validation"
            )
        if bool(teachers) != (settings.distillation > 0):
            raise ModelError("Teachers and a weight of their loss come together or not at all")
        products = sorted(by_product(train))
        numbers = {product: number for number, product in enumerate(products)}
        self.labels = [numbers[picture.product] for picture in train]
        # Raises what the first epoch would, before the run has a folder.
        identity_batches(self.labels, batch=settings.batch, seed=settings.seed, epoch=0)
        first = np.stack([plain_view(one.load(), settings.size) for one in train[: settings.batch]])
        spread(embedder, paddle.to_tensor(normalisation.apply(first)))
        self.network = Learner(embedder, len(products))
        self.train = train
        self.validation = validation
        self.settings = settings
        self.normalisation = normalisation
        self.teachers = teachers
        self.architecture: dict[str, Any] = {
            "network": type(embedder).__name__,
            "train": _told(train),
            "validation": _told(validation),
            **asdict(normalisation),
        }

    @property
    def steps_an_epoch(self) -> int:
        return max(1, len(self.train) // self.settings.batch)

    @property
    def warm_up_steps(self) -> int:
        return max(1, round(WARM_UP_SHARE * self.settings.epochs * self.steps_an_epoch))

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        return training_batches(
            self.train,
            self.labels,
            size=self.settings.size,
            batch=self.settings.batch,
            seed=self.settings.seed,
            epoch=epoch,
            start=start,
            threads=self.settings.threads,
        )

    def losses(self, batch: Batch, epoch: int) -> dict[str, Tensor]:  # noqa: ARG002
        images = paddle.to_tensor(self.normalisation.apply(batch.images))
        features, logits = self.network(images)
        labels = paddle.to_tensor(batch.labels)
        losses = {
            "identity": smoothed_cross_entropy(logits, labels),
            "triplet": triplet_angular_margin(features, labels),
        }
        if self.teachers:
            wanted = paddle.to_tensor(cosines(self.teachers, batch.images))
            losses["teachers"] = self.settings.distillation * relational_loss(features, wanted)
        return losses

    def kept(self, network: Learner) -> Embedder:
        return network.embedder

    def evaluate(self, network: Learner) -> dict[str, float]:
        found = Embeddings(
            self._vectors(network.embedder)[:, None],
            [picture.product for picture in self.validation],
            [str(picture.path) for picture in self.validation],
        )
        metrics = evaluate(found, found)
        return {
            "recall_1": metrics.recall_1,
            "recall_5": metrics.recall_5,
            "mean_ap": metrics.mean_ap,
        }

    def _vectors(self, embedder: Embedder) -> NDArray[np.float32]:
        """Of the photographs to validate with, as they are: unit length, [N, D]."""
        size, batch = self.settings.size, self.settings.batch

        def make(number: int) -> NDArray[np.uint8]:
            part = self.validation[number * batch : (number + 1) * batch]
            return np.stack([plain_view(picture.load(), size) for picture in part])

        rows = []
        with paddle.no_grad():
            numbers = range(-(-len(self.validation) // batch))
            for images in made_ahead(make, numbers, self.settings.threads):
                features = embedder(paddle.to_tensor(self.normalisation.apply(images)))
                rows.append(F.normalize(features, axis=-1).numpy())
        return np.concatenate(rows)


def _told(pictures: Sequence[Picture]) -> str:
    """How many, and a checksum of their names and products: where they lie may change."""
    listed = "\n".join(f"{picture.path.name} {picture.product}" for picture in pictures)
    return f"{len(pictures)} photographs, checksum {zlib.crc32(listed.encode()):08x}"
