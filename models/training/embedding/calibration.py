"""The threshold of a pack, from photographs of products that its embedder was not trained on."""

from collections.abc import Sequence
from contextlib import closing

from models.pack import Pack
from models.thresholds import MatchThreshold
from models.training.embedding.pictures import Picture
from models.training.embedding.retrieval import ask, rejecting
from models.training.embedding.served import ServedPack


def calibrated(pack: Pack, strangers: Sequence[Picture], threads: int) -> Pack:
    """The pack, rewritten with the threshold that a twentieth of these would pass unenrolled.

    How it grows with a gallery is left as it is.

    Raises:
        ModelError: a picture cannot be read.
        ValueError: no two photographs show the same product, or all do.
    """
    with closing(ServedPack(pack, threads)) as served:
        found = served.embeddings(strangers)
    threshold = MatchThreshold.measured(
        rejecting(ask(found, found)),
        pack.embedder.match_growth,
        products=len(set(found.identities)),
        images=len(found.images),
    )
    embedder = pack.embedder.model_copy(update={"match_threshold": round(threshold.highest, 3)})
    manifest = pack.manifest.model_copy(update={"embedder": embedder})
    return Pack.write(pack.folder, manifest)
