"""Trains the embedded detector in PyTorch: the second step of `embedded_detector`.

Needs torch, opencv-python-headless and pillow, and none of the project's own dependencies. The
learning rate follows the clock, not the steps: on a noisy machine, too, it ends in time.
"""

import argparse
import copy
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from models.training.detection.coco import Sample
from models.training.recipes.folded import unfold
from models.training.recipes.losses_torch import detection_loss, overlaps
from models.training.recipes.names import PROBE, probe
from models.training.recipes.pools import Pools, draw, load_drinks, load_pools
from models.training.recipes.twin import FROZEN, Twin, cells, decode

SEED = 0
BATCH = 16
# Side of the input in pixels until this share of the time; the served one last, for it takes long.
SIDES = ((0.6, 256), (1.0, 288))
RATE, TRUNK_RATE = 2e-3, 4e-4
AGAIN = 0.5  # of these rates where an earlier run goes on
LAST_RATE = 0.02  # of the first
DECAY = 0.05
WARM_UP = 100  # steps
STATISTICS = 12  # batches that tell those of batch norms where a shipped network goes on
EMA = 0.998
CLIP = 10.0
EVERY = 120  # seconds between checkpoints
MAX_BOXES = 16  # a sample has at most 12
UNSEEN = 40  # photographs a checkpoint is tried on, about
SERVED_BOXES, NMS_IOU = 5, 0.6
UNFINISHED = "unfinished.npz"
EQUAL = 1e-3  # of logits that are about 1


class Row(IterableDataset[Sample]):
    """Endless samples."""

    def __init__(self, pools: Pools, side: int, seed: int) -> None:
        self.pools, self.side, self.seed = pools, side, seed

    def __iter__(self) -> Iterator[Sample]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng([self.seed, self.side, 0])
        while True:
            yield draw(self.pools, self.side, rng)


def rows_of(pools: Pools, side: int, seed: int) -> DataLoader[Sample]:
    """Endless batches, drawn in a process of its own."""
    row = Row(pools, side, seed)
    return DataLoader(row, BATCH, num_workers=1, collate_fn=collate, prefetch_factor=4)


def collate(samples: list[Sample]) -> tuple[Tensor, Tensor, Tensor]:
    """Images uint8 [N, H, W, 3], boxes [N, B, 4] padded, which of them are real [N, B]."""
    boxes = torch.zeros(len(samples), MAX_BOXES, 4)
    real = torch.zeros(len(samples), MAX_BOXES, dtype=torch.bool)
    for row, sample in enumerate(samples):
        count = min(MAX_BOXES, len(sample.boxes))
        boxes[row, :count] = torch.from_numpy(sample.boxes[:count])
        real[row, :count] = True
    return torch.from_numpy(np.stack([sample.image for sample in samples])), boxes, real


def normalised(images: Tensor) -> Tensor:
    """Uint8 [N, H, W, 3] → float32 [N, 3, H, W], channels last in memory."""
    return ((images.float() - 127) / 128).permute(0, 3, 1, 2)


def load_imagenet(twin: Twin, path: Path) -> None:
    """Set the trunk to the published weights, of which it has the first blocks."""
    state = twin.backbone.state_dict()
    with np.load(path) as published:
        for name in state:
            if not name.endswith("num_batches_tracked"):
                state[name] = torch.from_numpy(published[name])
    twin.backbone.load_state_dict(state)


def optimiser_of(twin: Twin, share: float) -> torch.optim.Optimizer:
    """AdamW: slower for the trunk, nothing for its first blocks, no decay of norms and biases.

    Rates are that share of the usual ones.
    """
    for part in (twin.backbone.stem, twin.backbone.blocks[:FROZEN]):
        part.requires_grad_(False)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in twin.named_parameters():
        if parameter.requires_grad:
            rate = share * (TRUNK_RATE if name.startswith("backbone.") else RATE)
            decay = DECAY if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": r, "base": r, "weight_decay": d} for (r, d), p in groups.items()]
    )


@torch.no_grad()  # type: ignore[untyped-decorator]
def recall(twin: Twin, samples: list[Sample], side: int) -> tuple[float, float, float]:
    """Recall at IoU .5 and .75 with five boxes, and the mean best score, of photographs."""
    centers, strides = cells(side)
    found, total, best = [0, 0], 0, 0.0
    for sample in samples:
        image = cv2.resize(sample.image, (side, side), interpolation=cv2.INTER_AREA)
        logits, sides = twin(normalised(torch.from_numpy(image)[None]))
        boxes, scores = decode(sides, centers, strides)[0], logits[0].sigmoid()
        best += float(scores.max()) / len(samples)
        truth = torch.from_numpy(sample.boxes * np.float32(side / len(sample.image)))
        answers = boxes[_suppress(boxes, scores)]
        iou = overlaps(truth[:, None], answers[None])[0].amax(1)
        total += len(truth)
        for place, threshold in enumerate((0.5, 0.75)):
            found[place] += int((iou >= threshold).sum())
    return found[0] / total, found[1] / total, best


def _suppress(boxes: Tensor, scores: Tensor) -> list[int]:
    """The best boxes that overlap no better one: NMS."""
    kept: list[int] = []
    for index in scores.argsort(descending=True).tolist():
        if len(kept) == SERVED_BOXES:
            break
        if not kept or float(overlaps(boxes[index], boxes[kept])[0].max()) < NMS_IOU:
            kept.append(index)
    return kept


def load_shipped(twin: Twin, start: Path, rows: DataLoader[Sample]) -> None:
    """Set the network, which holds the published trunk, to what a pack ships.

    Raises:
        ValueError: it does not answer as that did.
    """
    with np.load(start) as shipped:
        folded = {name: torch.from_numpy(shipped[name]) for name in shipped}
    batches = itertools.islice(rows, STATISTICS)
    unfold(twin, folded, (normalised(images) for images, _, _ in batches))
    with torch.no_grad():
        answers = twin(torch.from_numpy(probe()))
    for name, answer in zip(PROBE, answers, strict=True):
        apart = float((answer - folded[name]).abs().max())
        if not apart <= EQUAL:
            raise ValueError(f"{name} differ by {apart:.2g} from those of the shipped network")


class Training:
    """The network, its running average, which is what is kept, and the log."""

    def __init__(
        self, twin: Twin, share: float, unseen: list[Sample], work: Path, minutes: float
    ) -> None:
        self.twin = twin.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.twin).eval()
        self.twin.backbone.half = True
        self.optimiser = optimiser_of(self.twin, share)
        self.unseen, self.work, self.seconds = unseen, work, minutes * 60
        self.step, self.losses = 0, list[float]()
        self.started = self.reported = time.monotonic()
        print("seconds,step,side,loss,images_a_second,recall_50,recall_75,best_score", flush=True)

    @property
    def progress(self) -> float:
        """Share of the time that is over."""
        return (time.monotonic() - self.started) / self.seconds

    def run(self, rows: DataLoader[Sample], side: int, until: float) -> None:
        """Train on batches of one size until that share of the time is over."""
        centers, strides = cells(side)
        for images, boxes, real in rows:
            if self.progress >= until:
                break
            self.twin.train()
            for group in self.optimiser.param_groups:
                group["lr"] = group["base"] * self._rate()
            logits, sides = self.twin(normalised(images))
            loss = detection_loss(logits, sides, centers, strides, boxes, real)
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.twin.parameters(), CLIP)
            self.optimiser.step()
            self.step += 1
            self._count_in()
            self.losses.append(float(loss.detach()))
            if time.monotonic() - self.reported >= EVERY:
                self.report(side)

    def report(self, side: int) -> None:
        """Write unfinished.npz and a line of the log."""
        now = time.monotonic()
        speed = BATCH * len(self.losses) / (now - self.reported)
        loss = np.mean(self.losses or [np.nan])  # none before the first step
        figures = [loss, speed, *recall(self.average, self.unseen, SIDES[-1][1])]
        shown = ",".join(f"{figure:.3f}" for figure in figures)
        print(f"{now - self.started:.0f},{self.step},{side},{shown}", flush=True)
        save(self.average, self.work / UNFINISHED)
        self.reported, self.losses = time.monotonic(), []

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / WARM_UP)
        cosine = (1 + math.cos(math.pi * min(1.0, self.progress))) / 2
        return warm * (LAST_RATE + (1 - LAST_RATE) * cosine)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _count_in(self) -> None:
        """Exponential moving average; its memory grows with the steps."""
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        present = self.twin.state_dict()
        for name, mean in self.average.state_dict().items():
            if mean.dtype.is_floating_point:
                mean.lerp_(present[name], 1 - decay)
            else:
                mean.copy_(present[name])


def save(twin: Twin, path: Path) -> None:
    """Every tensor by name, and what the network answers to the probe."""
    with torch.no_grad():
        answers = twin(torch.from_numpy(probe()))
    state = {
        name: tensor.numpy()
        for name, tensor in twin.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    state |= {name: answer.numpy() for name, answer in zip(PROBE, answers, strict=True)}
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **state)
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="open data: holds grocery and beverage")
    parser.add_argument("work", type=Path, help="holds what to train on; gets trained.npz")
    parser.add_argument("imagenet", type=Path, help="the published trunk, imagenet.npz")
    parser.add_argument("--debian", type=Path, default=Path("/"))
    parser.add_argument("--start", type=Path, help="a pack's detector, start.npz, to train on")
    parser.add_argument("--minutes", type=float, default=45)
    options = parser.parse_args()
    torch.manual_seed(SEED)
    # Where others use the cores too, threads wait for one another: one alone was twice as fast.
    torch.set_num_threads(1)
    pools = load_pools(options.data, options.work, options.debian, "train")
    print("#", {name: len(getattr(pools, name)) for name in Pools.__slots__}, flush=True)
    unseen = load_drinks(options.data, "kept")
    unseen = unseen[:: max(1, len(unseen) // UNSEEN)]
    twin, share = Twin(), 1.0
    load_imagenet(twin, options.imagenet)
    if options.start:
        load_shipped(twin, options.start, rows_of(pools, SIDES[-1][1], SEED + 1))
        share = AGAIN
    training = Training(twin, share, unseen, options.work, options.minutes)
    training.report(SIDES[-1][1])
    for until, side in SIDES:
        training.run(rows_of(pools, side, SEED), side, until)
    training.report(SIDES[-1][1])
    # Last: it tells that training came to its end.
    (options.work / UNFINISHED).rename(options.work / "trained.npz")


if __name__ == "__main__":
    main()
