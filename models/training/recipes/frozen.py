"""The lower half of EfficientNet-Lite1 on views of every identity, run once for all trainings."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn
from rich.progress import track

from models.nets.efficientnet_lite import StagesLinear, statistics
from models.session import Session
from models.training.export import export
from models.training.normalisation import EFFICIENTNET_LITE
from models.training.recipes.identities import Key, Pictures
from models.training.recipes.names import LOWER_STAGES
from models.training.recipes.split import folds

SIDE = 160  # pixels of a view: a third of the time of 224, which the pack serves
SEED = 3
BATCH = 32


class Lower(nn.Layer):
    """The first stages: float32 [N, 3, 160, 160] → the last one's map and statistics of each.

    The map is [N, 112, 10, 10]; the statistics are [N, 544]: every channel's mean, then every
    channel's root mean square.
    """

    def __init__(self, network: StagesLinear) -> None:
        super().__init__()
        self.trunk = network.trunk

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.trunk.stages(image)[:LOWER_STAGES]
        return maps[-1], paddle.concat(statistics(maps), axis=1)


def count(key: Key) -> int:
    """Views of an identity: most of what there are most photographs of."""
    if key.kind == "grocery":
        return 40 if key.variant else 120
    return {"drink": 24, "label": 8, "thing": 4}[key.kind]


def write_frozen(pictures: Pictures, network: StagesLinear, folder: Path) -> None:
    """Fill `folder`: frozen.npy, float16 [N, 112, 10, 10], statistics.npy and frozen.csv.

    statistics.npy has those of all lower stages, float32 [N, 544]; a line of frozen.csv kind,
    number, variant and fold of a row; made identities have no fold.
    `network` is the published one, its batch norms folded.
    """
    keys = [key for key in pictures.identities() for _ in range(count(key))]
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(keys))
    of = folds(name for names in pictures.names.values() for name in names)
    unfinished = folder / "unfinished.npy"
    shape = (len(keys), 112, SIDE // 16, SIDE // 16)
    rows = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
    shallow = []
    with tempfile.TemporaryDirectory() as lower:
        export(Lower(network), Path(lower), "lower", (SIDE, SIDE))
        session = Session(Path(lower) / "lower.json", Path(lower) / "lower.pdiparams", threads=1)
        for first in track(range(0, len(keys), BATCH), "frozen features"):
            views = [pictures.view(keys[at], SIDE, rng) for at in order[first : first + BATCH]]
            pixels = EFFICIENTNET_LITE.apply(np.stack(views))
            map_, below = session.run({"x": pixels})
            rows[first : first + len(views)] = map_
            shallow.append(below.copy())
    np.save(folder / "statistics.npy", np.concatenate(shallow))
    with (folder / "frozen.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["kind", "number", "variant", "fold"])
        for at in order:
            names = pictures.names.get(keys[at].kind)
            table.writerow([*keys[at], of[names[keys[at].number]] if names else ""])
    rows.flush()
    # Last: it tells that all are complete.
    unfinished.rename(folder / "frozen.npy")
