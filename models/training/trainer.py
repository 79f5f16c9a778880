"""The training loop: a run in a folder, which may stop at any time and go on.

What is trained, on what and how well it does is a `Task`'s; this loop steps, averages the weights,
keeps the best of them, and writes all down.
"""

import copy
import json
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import paddle
from paddle import Tensor, nn
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.errors import ModelError
from models.training.schedule import CycleEMA, learning_rate
from models.training.state_dict import name_tensors, write_state

MOMENTUM = 0.9
LAST = "last.pdparams"
BEST = "best.pdparams"
LOG = "log.jsonl"
SAVE_SECONDS = 300.0  # what a power cut in the middle of a long epoch may cost
_SMOOTHING = 0.9  # of the loss that the progress bar shows
_PRIME = 1_000_003  # sets the random numbers of runs with neighbouring seeds apart


@dataclass(frozen=True, slots=True)
class Settings:
    """What every run has: square input in pixels, images in a batch, the peak learning rate.

    `threads` read and change images. Batches are the same with any number of them, so a run may go
    on with another.
    """

    size: int
    batch: int
    epochs: int
    learning_rate: float
    seed: int = 0
    threads: int = 2


class Task(Protocol):
    """What a `Trainer` trains.

    `network`: all that learns. `settings` and `architecture`: what a run that goes on must have in
    common with its beginning. `decisive`: the metric whose highest value is best. The same epoch
    and start give the same batches.
    """

    network: nn.Layer
    settings: Any  # Settings or more of them
    architecture: dict[str, Any]
    decisive: str
    weight_decay: float

    @property
    def steps_an_epoch(self) -> int: ...

    @property
    def warm_up_steps(self) -> int: ...

    def batches(self, epoch: int, start: int) -> Iterator[Any]:
        """The epoch's batches but for the first `start`."""

    def losses(self, batch: Any, epoch: int) -> dict[str, Tensor]:
        """Parts of the loss by name, already weighted: their sum is what goes down."""

    def kept(self, network: nn.Layer) -> nn.Layer:
        """What of the (averaged) network is saved as best."""

    def evaluate(self, network: nn.Layer) -> dict[str, float]:
        """Metrics of the (averaged) network, in evaluation mode."""


class Trainer:
    """Carries out a task; the folder holds the last state, the best weights and a log.

    The weights that are evaluated and kept as best are the averaged ones.
    """

    def __init__(self, task: Task, folder: Path) -> None:
        """Begin, or go on where the folder's run stopped.

        Raises:
            ModelError: the run was begun with other settings, or by an earlier release.
        """
        self.task = task
        self.folder = folder
        self.averaged = copy.deepcopy(task.network)
        self.averaged.eval()
        name_tensors(task.network)
        settings = task.settings
        self.optimizer = _momentum(task.network, settings.learning_rate, task.weight_decay)
        self.ema = CycleEMA(task.network)
        self.epoch = 0
        self.step = 0  # of the epoch
        self.sums: dict[str, float] = {}  # of the epoch's losses
        self.best: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / LAST).exists():
            self._resume()

    def run(self) -> dict[str, float]:
        """Train until the last epoch; the metrics of the best weights.

        Raises:
            ModelError: the loss is not finite any more, or an image cannot be read.
            KeyboardInterrupt: Ctrl-C; what was done by then is saved.
        """
        with _progress() as progress, _quiet_batch_norms():
            try:
                while self.epoch < self.task.settings.epochs:
                    self._pass(progress)
            except KeyboardInterrupt:
                self._save()
                progress.console.print(
                    f"Stopped after step {self.step} of epoch {self.epoch + 1}. The same command "
                    "goes on from there.",
                    highlight=False,
                )
                raise
        return self.best

    def _pass(self, progress: Progress) -> None:
        """An epoch, or what is left of it."""
        training = self._train_epoch(progress)
        metrics = self._evaluate()
        with _undisturbed():
            self.ema.end_epoch()
            self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
            self._save()
            self._log(training | metrics)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        best = f"best {self.task.decisive} {self.best[self.task.decisive]:.3f}"
        progress.console.print(f"epoch {self.epoch}: {shown}; {best}", highlight=False)

    def _train_epoch(self, progress: Progress) -> dict[str, Any]:
        """What is left of one pass: the mean of each loss, and the speed."""
        task = self.task
        task.network.train()
        bar = progress.add_task(
            f"epoch {self.epoch + 1}/{task.settings.epochs}",
            total=task.steps_an_epoch,
            completed=self.step,
            loss="…",
            rate="…",
        )
        shown, started, first = None, time.perf_counter(), self.step
        saved, rate = started, 0.0
        for batch in task.batches(self.epoch, self.step):
            with _undisturbed():
                losses = self._step(batch)
                self.sums = {name: self.sums.get(name, 0) + loss for name, loss in losses.items()}
                self.step += 1
            total = sum(losses.values())
            now = time.perf_counter()
            shown = total if shown is None else _SMOOTHING * shown + (1 - _SMOOTHING) * total
            rate = (self.step - first) * task.settings.batch / (now - started)
            progress.update(bar, advance=1, loss=f"{shown:.3f}", rate=f"{rate:.1f}")
            if now - saved > SAVE_SECONDS:
                self._save()
                saved = now
        progress.remove_task(bar)
        means = {name: round(value / self.step, 5) for name, value in self.sums.items()}
        return {"losses": means, "images_per_second": round(rate, 2)}

    def _step(self, batch: Any) -> dict[str, float]:
        task = self.task
        settings = task.settings
        number = self.epoch * task.steps_an_epoch + self.step
        self.optimizer.set_lr(
            learning_rate(
                number,
                settings.epochs * task.steps_an_epoch,
                settings.learning_rate,
                warm_up=task.warm_up_steps,
            )
        )
        # Dropout draws: a run that goes on draws what the whole one would have.
        paddle.seed(settings.seed * _PRIME + number)
        losses = task.losses(batch, self.epoch)
        values = {name: float(loss) for name, loss in losses.items()}
        if not np.isfinite(list(values.values())).all():
            raise ModelError(
                f"The loss is not finite any more at step {number}: {values}. Begin with a lower "
                f"learning rate, in another folder{self._from_best()}"
            )
        paddle.add_n(list(losses.values())).backward()
        # Paddle numbers an optimiser's state by process; counted anew it is always 0, and a
        # checkpoint's names fit.
        with paddle.utils.unique_name.guard():
            self.optimizer.step()
        self.optimizer.clear_grad()
        self.ema.update()
        return values

    def _evaluate(self) -> dict[str, float]:
        self.averaged.set_state_dict(self.ema.state)
        metrics = self.task.evaluate(self.averaged)
        decisive = self.task.decisive
        if not self.best or metrics[decisive] > self.best[decisive]:
            self.best = metrics
            write_state(self.task.kept(self.averaged).state_dict(), self.folder / BEST)
        return metrics

    def _save(self) -> None:
        state = {
            "network": self.task.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.ema.state,
            "average_steps": self.ema.steps,
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums,
            "best": self.best,
            "settings": asdict(self.task.settings),
            "architecture": self.task.architecture,
        }
        write_state(state, self.folder / LAST)

    def _resume(self) -> None:
        state = paddle.load(str(self.folder / LAST))
        for kind, now in (
            ("settings", asdict(self.task.settings)),
            ("architecture", self.task.architecture),
        ):
            before = state[kind]
            if now.keys() - before.keys():
                raise ModelError(
                    f"The run in {self.folder} was begun by an earlier release, or for another "
                    f"kind of network: begin another in another folder{self._from_best()}"
                )
            changed = [
                f"{key} {before[key]}"
                for key in now
                if before[key] != now[key] and key != "threads"
            ]
            if changed:
                raise ModelError(
                    f"The run in {self.folder} was begun with {', '.join(changed)}: go on with "
                    "the same, or begin another in another folder"
                )
        self.task.network.set_state_dict(state["network"])
        self.optimizer.set_state_dict(state["optimizer"])
        self.ema.state = state["average"]
        self.ema.steps = state["average_steps"]
        self.epoch = self.ema.epochs = state["epoch"]
        self.step, self.sums, self.best = state["step"], state["sums"], state["best"]

    def _from_best(self) -> str:
        # Of the last state no command can read the weights, and they may be spoilt already.
        best = self.folder / BEST
        return f"; with --weights {best} from the best weights of this run" if best.exists() else ""

    def _log(self, entry: dict[str, Any]) -> None:
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": self.epoch, **entry}) + "\n")


def _momentum(network: nn.Layer, rate: float, decay: float) -> Any:
    """SGD with momentum; biases and batch norms, which are vectors, do not decay."""
    trained = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    return paddle.optimizer.Momentum(
        rate,
        MOMENTUM,
        parameters=[
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
        ],
    )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]} · {task.fields[rate]} images/s"),
        TimeRemainingColumn(),
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits for the end of the block: from half a step nothing can go on."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def _quiet_batch_norms() -> Iterator[None]:
    # Paddle warns, at every batch norm of every step, that it does what is meant.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "When training, we now always track global mean")
        yield
