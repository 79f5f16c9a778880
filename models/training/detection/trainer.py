"""The training loop: a run in a folder, which may stop at any time and go on."""

import json
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.errors import ModelError
from models.nets.picodet import PicoDet
from models.training.detection.batches import Batch, training_batches
from models.training.detection.coco import Record
from models.training.detection.composition import Cutout
from models.training.detection.criterion import detection_losses
from models.training.detection.evaluation import Metrics, evaluate
from models.training.detection.normalisation import normalisation_of
from models.training.detection.schedule import CycleEMA, learning_rate
from models.training.detection.weights import name_tensors

MOMENTUM = 0.9
WEIGHT_DECAY = 4e-5
LAST = "last.pdparams"
BEST = "best.pdparams"
LOG = "log.jsonl"
_SMOOTHING = 0.9  # of the loss that the progress bar shows


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run does. `static_epochs` first ones assign by ATSS, the others by SimOTA."""

    size: int
    batch: int
    epochs: int
    learning_rate: float
    seed: int = 0
    static_epochs: int = 0
    ema_cycle: int = 20
    threads: int = 2


class Trainer:
    """Trains `network` on `train`; the folder holds the last state, the best weights and a log.

    The weights that are evaluated and kept as best are the averaged ones.
    """

    def __init__(
        self,
        network: PicoDet,
        train: Sequence[Record],
        validation: Sequence[Record],
        settings: Settings,
        folder: Path,
        cutouts: Sequence[Cutout] = (),
    ) -> None:
        """Begin, or go on where the folder's run stopped.

        Raises:
            ModelError: there are too few images, or the run was begun with other settings.
        """
        if len(train) < settings.batch or not validation:
            raise ModelError(
                f"{len(train)} images to train on and {len(validation)} to validate with are "
                f"too few for batches of {settings.batch}"
            )
        self.network = network
        self.train = train
        self.validation = validation
        self.settings = settings
        self.folder = folder
        self.cutouts = cutouts
        self.averaged = PicoDet(network.architecture)
        self.averaged.eval()
        name_tensors(network)
        self.optimizer = _momentum(network, settings.learning_rate)
        self.ema = CycleEMA(network, settings.ema_cycle)
        self.epoch = 0
        self.best = Metrics(-1, 0, 0, 0, 0, 0)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / LAST).exists():
            self._resume()

    @property
    def steps_an_epoch(self) -> int:
        return len(self.train) // self.settings.batch

    def run(self) -> Metrics:
        """Train until the last epoch; the metrics of the best weights.

        Raises:
            ModelError: the loss is not finite any more, or an image cannot be read.
        """
        with _progress() as progress, _quiet_batch_norms():
            while self.epoch < self.settings.epochs:
                started = time.perf_counter()
                losses = self._train_epoch(progress)
                rate = self.steps_an_epoch * self.settings.batch / (time.perf_counter() - started)
                metrics = self._validate()
                self.ema.end_epoch()
                self.epoch += 1
                self._save()
                self._log({"losses": losses, "images_per_second": round(rate, 2)}, metrics)
                progress.console.print(
                    f"epoch {self.epoch}: AP {metrics.ap:.3f}, AP50 {metrics.ap50:.3f}, "
                    f"AR10 {metrics.ar10:.3f}, best AP {self.best.ap:.3f}",
                    highlight=False,
                )
        return self.best

    def _train_epoch(self, progress: Progress) -> dict[str, float]:
        """One pass over the images; the mean of each loss."""
        settings = self.settings
        self.network.train()
        batches = training_batches(
            self.train,
            size=settings.size,
            batch=settings.batch,
            seed=settings.seed,
            epoch=self.epoch,
            cutouts=self.cutouts,
            threads=settings.threads,
        )
        task = progress.add_task(
            f"epoch {self.epoch + 1}/{settings.epochs}",
            total=self.steps_an_epoch,
            loss="…",
            rate="…",
        )
        sums: dict[str, float] = {}
        shown, started = None, time.perf_counter()
        for position, batch in enumerate(batches):
            losses = self._step(batch, self.epoch * self.steps_an_epoch + position)
            total = sum(losses.values())
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            shown = total if shown is None else _SMOOTHING * shown + (1 - _SMOOTHING) * total
            rate = (position + 1) * settings.batch / (time.perf_counter() - started)
            progress.update(task, advance=1, loss=f"{shown:.3f}", rate=f"{rate:.1f}")
        progress.remove_task(task)
        return {name: round(value / self.steps_an_epoch, 5) for name, value in sums.items()}

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        settings = self.settings
        total = settings.epochs * self.steps_an_epoch
        self.optimizer.set_lr(learning_rate(step, total, settings.learning_rate))
        images = normalisation_of(self.network.architecture).apply(batch.images)
        static = self.epoch < settings.static_epochs
        losses = detection_losses(
            self.network, paddle.to_tensor(images), batch.boxes, static=static
        )
        losses.total.backward()
        values = {
            "varifocal": float(losses.varifocal),
            "distribution": float(losses.distribution),
            "giou": float(losses.giou),
        }
        if not np.isfinite(list(values.values())).all():
            raise ModelError(
                f"The loss is not finite any more at step {step}: {values}. Go on from "
                f"{self.folder / LAST} with a lower learning rate, in another folder"
            )
        # Paddle numbers an optimiser's state by process; counted anew it is always 0, and a
        # checkpoint's names fit.
        with paddle.utils.unique_name.guard():
            self.optimizer.step()
        self.optimizer.clear_grad()
        self.ema.update()
        return values

    def _validate(self) -> Metrics:
        self.averaged.set_state_dict(self.ema.state)
        settings = self.settings
        metrics = evaluate(
            self.averaged,
            self.validation,
            size=settings.size,
            batch=settings.batch,
            threads=settings.threads,
        )
        if metrics.ap > self.best.ap:
            self.best = metrics
            _write(self.averaged.state_dict(), self.folder / BEST)
        return metrics

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.ema.state,
            "average_steps": self.ema.steps,
            "epoch": self.epoch,
            "best": asdict(self.best),
            "settings": asdict(self.settings),
            "architecture": asdict(self.network.architecture),
        }
        _write(state, self.folder / LAST)

    def _resume(self) -> None:
        state = paddle.load(str(self.folder / LAST))
        for kind, now in (
            ("settings", asdict(self.settings)),
            ("architecture", asdict(self.network.architecture)),
        ):
            changed = [f"{key} {state[kind][key]}" for key in now if state[kind][key] != now[key]]
            if changed:
                raise ModelError(
                    f"The run in {self.folder} was begun with {', '.join(changed)}: go on with "
                    "the same, or begin another in another folder"
                )
        self.network.set_state_dict(state["network"])
        self.optimizer.set_state_dict(state["optimizer"])
        self.ema.state = state["average"]
        self.ema.steps = state["average_steps"]
        self.epoch = self.ema.epochs = state["epoch"]
        self.best = Metrics(**state["best"])

    def _log(self, training: dict[str, Any], metrics: Metrics) -> None:
        entry = {"epoch": self.epoch, **training, **asdict(metrics)}
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _momentum(network: PicoDet, rate: float) -> Any:
    """SGD with momentum; biases and batch norms, which are vectors, do not decay."""
    trained = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    return paddle.optimizer.Momentum(
        rate,
        MOMENTUM,
        parameters=[
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ],
    )


def _write(state: dict[str, Any], path: Path) -> None:
    """Save, so that a stop in the middle leaves the file before."""
    unfinished = path.with_suffix(".unfinished")
    paddle.save(state, str(unfinished))
    unfinished.replace(path)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]} · {task.fields[rate]} images/s"),
        TimeRemainingColumn(),
    )


@contextmanager
def _quiet_batch_norms() -> Iterator[None]:
    # Paddle warns, at every batch norm of every step, that it does what is meant.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "When training, we now always track global mean")
        yield
