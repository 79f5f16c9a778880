"""What the training loop does for a main-body detector."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import paddle
from paddle import Tensor

from models.errors import ModelError
from models.nets.picodet import PicoDet
from models.pack import Interpolation
from models.training.detection.batches import Batch, training_batches
from models.training.detection.coco import Record
from models.training.detection.composition import Cutout
from models.training.detection.criterion import detection_losses
from models.training.detection.evaluation import evaluate
from models.training.normalisation import normalisation_of
from models.training.trainer import Settings

WARM_UP_STEPS = 300


@dataclass(frozen=True, slots=True)
class DetectorSettings(Settings):
    """`static_epochs` first ones assign by ATSS, the others by SimOTA.

    It is evaluated with the `interpolation` that it will be served with, and trained on all.
    """

    static_epochs: int = 0
    interpolation: Interpolation = "linear"


class DetectorTask:
    """Trains `network` on `train`; the best has the highest AP on `validation`."""

    decisive = "ap"
    weight_decay = 4e-5
    warm_up_steps = WARM_UP_STEPS

    def __init__(
        self,
        network: PicoDet,
        train: Sequence[Record],
        validation: Sequence[Record],
        settings: DetectorSettings,
        cutouts: Sequence[Cutout] = (),
    ) -> None:
        """Take all there is.

        Raises:
            ModelError: there are too few images, or no box in them.
        """
        if len(train) < settings.batch or not validation:
            raise ModelError(
                f"{len(train)} images to train on and {len(validation)} to validate with are "
                f"too few for batches of {settings.batch}"
            )
        # Cut-outs bring boxes of their own, to train on.
        for records, purpose, others in (
            (train, "train on", cutouts),
            (validation, "validate with", ()),
        ):
            if not others and not any(len(record.boxes) for record in records):
                raise ModelError(f"The {len(records)} images to {purpose} have no box that is used")
        self.network = network
        self.train = train
        self.validation = validation
        self.settings = settings
        self.cutouts = cutouts
        pasted = 0
        for cutout in cutouts:
            pasted = zlib.crc32(cutout.tobytes(), pasted)
        self.architecture: dict[str, Any] = {
            **asdict(network.architecture),
            "train": _told(train),
            "validation": _told(validation),
            "cutouts": f"{len(cutouts)}, checksum {pasted:08x}",
        }

    @property
    def steps_an_epoch(self) -> int:
        return len(self.train) // self.settings.batch

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        return training_batches(
            self.train,
            size=self.settings.size,
            batch=self.settings.batch,
            seed=self.settings.seed,
            epoch=epoch,
            start=start,
            cutouts=self.cutouts,
            threads=self.settings.threads,
        )

    def images(self, batch: Batch) -> Tensor:
        """A batch's images as the network takes them."""
        return paddle.to_tensor(normalisation_of(self.network.architecture).apply(batch.images))

    def losses(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        static = epoch < self.settings.static_epochs
        losses = detection_losses(self.network, self.images(batch), batch.boxes, static=static)
        return {
            "varifocal": losses.varifocal,
            "distribution": losses.distribution,
            "giou": losses.giou,
        }

    def kept(self, network: PicoDet) -> PicoDet:
        return network

    def evaluate(self, network: PicoDet) -> dict[str, float]:
        settings = self.settings
        metrics = evaluate(
            network,
            self.validation,
            size=settings.size,
            batch=settings.batch,
            interpolation=settings.interpolation,
            threads=settings.threads,
        )
        return asdict(metrics)


def _told(records: Sequence[Record]) -> str:
    """How many images, and a checksum of their names and boxes: where they lie may change."""
    listed = "\n".join(f"{record.path.name} {record.boxes.tolist()}" for record in records)
    return f"{len(records)} images, checksum {zlib.crc32(listed.encode()):08x}"
