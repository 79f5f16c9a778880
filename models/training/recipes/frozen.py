"""The lower half of EfficientNet-Lite0 on views of every identity, run once for all trainings."""

import csv
import tempfile
from pathlib import Path

import numpy as np
from paddle import Tensor, nn
from rich.progress import track

from models.nets.efficientnet_lite import PooledLinear
from models.session import Session
from models.training.export import export
from models.training.recipes.identities import Key, Pictures
from models.training.recipes.names import LOWER_BLOCKS
from models.training.recipes.split import folds

SIDE = 160  # pixels of a view: a third of the time of 224, which the pack serves
SEED = 3
BATCH = 32


class Lower(nn.Layer):
    """Stem and first blocks: float32 [N, 3, 160, 160] → [N, 112, 10, 10]."""

    def __init__(self, network: PooledLinear) -> None:
        super().__init__()
        self.stem = network.trunk.stem
        self.blocks = network.trunk.blocks[:LOWER_BLOCKS]

    def forward(self, image: Tensor) -> Tensor:
        return self.blocks(self.stem(image))


def count(key: Key) -> int:
    """Views of an identity: most of what there are most photographs of."""
    if key.kind == "grocery":
        return 40 if key.variant else 120
    return {"drink": 24, "label": 8, "thing": 4}[key.kind]


def write_frozen(pictures: Pictures, network: PooledLinear, folder: Path) -> None:
    """Fill `folder`: frozen.npy, float16 [N, 112, 10, 10], and frozen.csv, whose rows they are.

    A line has kind, number, variant and fold; made identities have no fold.
    `network` is the published one, its batch norms folded.
    """
    keys = [key for key in pictures.identities() for _ in range(count(key))]
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(keys))
    of = folds(name for names in pictures.names.values() for name in names)
    unfinished = folder / "unfinished.npy"
    shape = (len(keys), 112, SIDE // 16, SIDE // 16)
    rows = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
    with tempfile.TemporaryDirectory() as lower:
        export(Lower(network), Path(lower), "lower", (SIDE, SIDE))
        session = Session(Path(lower) / "lower.json", Path(lower) / "lower.pdiparams", threads=1)
        for first in track(range(0, len(keys), BATCH), "frozen features"):
            views = [pictures.view(keys[at], SIDE, rng) for at in order[first : first + BATCH]]
            pixels = np.stack(views).transpose(0, 3, 1, 2).astype(np.float32)
            pixels = (pixels - np.float32(127)) / np.float32(128)
            rows[first : first + len(views)] = session.run({"x": pixels})[0].value
    with (folder / "frozen.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kind", "number", "variant", "fold"])
        for at in order:
            names = pictures.names.get(keys[at].kind)
            table.writerow([*keys[at], of[names[keys[at].number]] if names else ""])
    rows.flush()
    # Last: it tells that both are complete.
    unfinished.rename(folder / "frozen.npy")
