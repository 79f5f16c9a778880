"""Trains the upper half of the embedded embedder in PyTorch: a step of `embedded_embedder`.

Needs torch and numpy, and none of the project's own dependencies. The lower half stays as it was
published, so its features of all views are made once (`frozen`) and serve every run. Batch norms
keep ImageNet's statistics: their folding at export is exact, and batches may be of few products.

Losses: cross entropy with label smoothing over normalised proxies, and the supervised contrastive
loss (Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020).
"""

import argparse
import csv
import math
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from models.training.recipes.names import EMBEDDER_PROBE, LOWER_BLOCKS, SCALES, embedder_probe
from models.training.recipes.twin import LITE0, STEM, LiteConvNorm, inverted_residuals
from models.training.torch_files import paddle_name, torch_name

DEPTH = 1.1  # EfficientNet-Lite1's, of all stages but the first and the last
STAGES = (
    LITE0[0],
    *((k, s, e, c, math.ceil(blocks * DEPTH)) for k, s, e, c, blocks in LITE0[1:]),
    (3, 1, 6, 320, 1),
)
WIDTHS = [channels for *_, channels, _ in STAGES]
STAGE_ENDS = [end - 1 for end in accumulate(blocks for *_, blocks in STAGES)]
HEAD, DIMENSION = 1280, 512
TINY = 1e-6  # under a root

SEED = 0
# Identities of each kind in a batch; some come in pairs that differ in one detail.
BATCH = {"grocery": 9, "drink": 7, "label": 7, "thing": 3}
PAIRED = 0.5  # of groceries and drinks: with another hue of themselves; labels and things always
VIEWS = 4  # of an identity in a batch
RATE = 2e-4
LAST_RATE = 0.02  # of the first
PROXY_RATE = 30  # times as much for the proxies
DECAY = 1e-4
WARM_UP = 30  # steps
EMA = 0.995
SMOOTHING, SCALE, TEMPERATURE = 0.1, 20.0, 0.1
CROSS_ENTROPY = 0.3  # its weight beside the contrastive loss
CLIP = 5.0
EVERY = 25  # steps between lines of the log

Identity = tuple[str, int, int]


class EmbedderTwin(nn.Module):
    """`models.nets.efficientnet_lite.StagesLinear` on EfficientNet-Lite1, name by name.

    Its linear layer sees features times `scales`, so that those of all stages learn alike.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Module()
        self.trunk.stem = LiteConvNorm(3, STEM, 3, 2)
        self.trunk.blocks = nn.ModuleList(inverted_residuals(STAGES))
        self.trunk.head = LiteConvNorm(WIDTHS[-1], HEAD, 1)
        self.fc = nn.Linear(HEAD + 2 * sum(WIDTHS), DIMENSION)
        self.scales = torch.ones(self.fc.in_features)
        self.eval()

    def pooled(self, image: Tensor) -> Tensor:
        """Float32 [N, 3, H, W] → [N, 2848]."""
        x, lower = self._stages(self.trunk.stem(image), 0, LOWER_BLOCKS)
        return self.pooled_upper(x, torch.cat(statistics(lower), 1))

    def pooled_upper(self, x: Tensor, lower: Tensor) -> Tensor:
        """Of the lower stages the last map [N, 112, H/16, W/16] and statistics → [N, 2848]."""
        x, maps = self._stages(x, LOWER_BLOCKS, len(self.trunk.blocks))
        last = self.trunk.head(x).float().mean((2, 3))
        below = lower.chunk(2, 1)
        pairs = zip(below, statistics(maps), strict=True)
        return torch.cat([last, *(part for pair in pairs for part in pair)], 1)

    def forward(self, pooled: Tensor) -> Tensor:
        """Features [N, 2848] → unit vectors [N, 512]."""
        return F.normalize(self.fc(pooled * self.scales))

    def _stages(self, x: Tensor, first: int, end: int) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for place in range(first, end):
            x = self.trunk.blocks[place](x)
            if place in STAGE_ENDS:
                maps.append(x)
        return x, maps

    def trained(self) -> list[nn.Parameter]:
        """What training changes."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        parts = (*self.trunk.blocks[LOWER_BLOCKS:], self.trunk.head, self.fc)
        parameters = [parameter for part in parts for parameter in part.parameters()]
        for parameter in parameters:
            parameter.requires_grad_(True)
        return parameters


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """Features float16 [N, 112, 10, 10] of the views, statistics, and whose they are."""

    features: NDArray[np.float16]
    statistics: NDArray[np.float32]
    views: dict[Identity, list[int]]


def read_frozen(work: Path, fold: int | None) -> Frozen:
    """What `frozen` wrote, without the products of a fold."""
    views = defaultdict(list)
    with (work / "frozen.csv").open(encoding="utf-8", newline="") as file:
        for row, line in enumerate(csv.DictReader(file)):
            if fold is None or line["fold"] != str(fold):
                identity = (line["kind"], int(line["number"]), int(line["variant"]))
                views[identity].append(row)
    features = np.load(work / "frozen.npy", mmap_mode="r")
    return Frozen(features, np.load(work / "statistics.npy"), dict(views))


class Sampler:
    """Endless batches; the views of an identity all come up before one comes again."""

    def __init__(self, frozen: Frozen) -> None:
        self._frozen = frozen
        self._rng = np.random.default_rng(SEED)
        self._labels = {identity: place for place, identity in enumerate(sorted(frozen.views))}
        self._families: dict[str, dict[int, list[Identity]]] = {kind: {} for kind in BATCH}
        for kind, number, variant in sorted(frozen.views):
            members = self._families[kind].setdefault(number, [])
            members.append((kind, number, variant))
        self._left: dict[Identity, list[int]] = {}

    @property
    def classes(self) -> int:
        return len(self._labels)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features bfloat16 [B, 112, 10, 10], statistics [B, 544] and labels int64 [B]."""
        identities = [one for kind, count in BATCH.items() for one in self._choose(kind, count)]
        rows = [row for identity in identities for row in self._next_views(identity)]
        labels = [self._labels[identity] for identity in identities for _ in range(VIEWS)]
        features = torch.from_numpy(self._frozen.features[rows])
        lower = torch.from_numpy(self._frozen.statistics[rows])
        return features.to(torch.bfloat16), lower, torch.tensor(labels)

    def _choose(self, kind: str, count: int) -> list[Identity]:
        families = list(self._families[kind].values())
        chosen: list[Identity] = []
        while len(chosen) < count:
            members = families[int(self._rng.integers(len(families)))]
            if kind in ("label", "thing") or self._rng.random() < PAIRED:
                places = self._rng.permutation(len(members))[:2]
            elif self._rng.random() < 0.5:
                places = self._rng.integers(len(members), size=1)
            else:
                places = np.zeros(1, np.int64)  # as photographed
            chosen += [members[place] for place in places]
        return chosen[:count]

    def _next_views(self, identity: Identity) -> list[int]:
        left = self._left.get(identity, [])
        if len(left) < VIEWS:
            left = left + self._rng.permutation(self._frozen.views[identity]).tolist()
        self._left[identity] = left[VIEWS:]
        return left[:VIEWS]


def statistics(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Means, then root mean squares, of all channels of maps [N, C, H, W]: [N, sum of C] each."""
    real = [map_.float() for map_ in maps]
    means = torch.cat([map_.mean((2, 3)) for map_ in real], 1)
    squares = torch.cat([(map_ * map_).mean((2, 3)) for map_ in real], 1)
    return means, (squares + TINY).sqrt()


def contrastive(vectors: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrastive loss of unit vectors [B, D]; every label occurs twice or more."""
    oneself = torch.eye(len(labels), dtype=torch.bool)
    same = (labels[:, None] == labels[None]) & ~oneself
    logits = (vectors @ vectors.T / TEMPERATURE).masked_fill(oneself, -torch.inf)
    likelihood = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(~same, 0)
    return -(likelihood.sum(1) / same.sum(1)).mean()


def train(twin: EmbedderTwin, frozen: Frozen, steps: int) -> dict[str, Tensor]:
    """The running average of the network's tensors after `steps`; prints the log, CSV."""
    torch.manual_seed(SEED)
    sampler = Sampler(frozen)
    parameters = twin.trained()
    proxies = nn.Parameter(torch.randn(sampler.classes, DIMENSION) * 0.05)
    optimiser = torch.optim.AdamW(
        [
            {"params": parameters, "base": RATE, "weight_decay": DECAY},
            {"params": [proxies], "base": RATE * PROXY_RATE, "weight_decay": 0.0},
        ]
    )
    average = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    print("step,seconds,images_a_second,cross_entropy,contrastive", flush=True)
    started, losses = time.monotonic(), list[tuple[float, float]]()
    for step in range(steps):
        cosine = (1 + math.cos(math.pi * step / steps)) / 2
        rate = min(1.0, (step + 1) / WARM_UP) * (LAST_RATE + (1 - LAST_RATE) * cosine)
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate
        features, lower, labels = sampler.batch()
        with torch.autocast("cpu", torch.bfloat16):
            pooled = twin.pooled_upper(features, lower)
        vectors = twin(pooled)
        logits = vectors @ F.normalize(proxies).T * SCALE
        entropy = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
        contrast = contrastive(vectors, labels)
        optimiser.zero_grad()
        (CROSS_ENTROPY * entropy + contrast).backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        memory = min(EMA, (1 + step) / (10 + step))
        present = twin.state_dict()
        for name, mean in average.items():
            if mean.dtype.is_floating_point:
                mean.lerp_(present[name], 1 - memory)
        losses.append((float(entropy.detach()), float(contrast.detach())))
        if (step + 1) % EVERY == 0:
            seconds = time.monotonic() - started
            speed = (step + 1) * len(labels) / seconds
            means = np.mean(losses[-EVERY:], axis=0)
            print(f"{step + 1},{seconds:.0f},{speed:.1f},{means[0]:.3f},{means[1]:.3f}", flush=True)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, help="holds frozen.npy and frozen.csv")
    parser.add_argument("start", type=Path, help="the network's tensors, .npz")
    parser.add_argument("trained", type=Path, help=".npz to write")
    parser.add_argument("--fold", type=int, help="whose products are left out")
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()
    # Where others use the cores too, threads wait for one another: one alone was twice as fast.
    torch.set_num_threads(1)
    twin = EmbedderTwin()
    with np.load(options.start) as start:
        tensors = {name: torch.from_numpy(start[name]) for name in start}
    twin.scales = tensors.pop(SCALES)
    state = {torch_name(name): tensor for name, tensor in tensors.items()}
    state["fc.weight"] = state["fc.weight"].T / twin.scales
    twin.load_state_dict(state, strict=False)
    average = train(twin, read_frozen(options.work, options.fold), options.steps)
    twin.load_state_dict(average)
    with torch.no_grad():
        answer = twin.pooled(torch.from_numpy(embedder_probe()))
    trained = {
        paddle_name(name): tensor.numpy()
        for name, tensor in average.items()
        if not name.endswith("num_batches_tracked")
    }
    trained["fc.weight"] = np.ascontiguousarray((average["fc.weight"] * twin.scales).T.numpy())
    np.savez(options.trained, **trained, **{EMBEDDER_PROBE: answer.numpy()})


if __name__ == "__main__":
    main()
