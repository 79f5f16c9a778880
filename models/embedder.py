"""Feature extraction: one unit vector a crop."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.allocation import keep_freed_memory
from models.errors import ModelError, PackError
from models.pack import Pack
from models.preprocess import Picture, Preprocessor
from models.session import Engine, Session
from models.widths import Cores, Widths
from models.worker import StageTimes, Worker

# Crops in one forward pass: those of one photograph. Beyond, a crop takes no less time, the next
# caller waits longer, and for every size of batch oneDNN keeps some 25 MB.
_MAX_BATCH = 6

Vectors = NDArray[np.float32]


class Embedder:
    """Embeds crops. Thread-safe: one worker thread owns the predictor."""

    def __init__(
        self,
        pack: Pack,
        threads: int,
        engine: Engine = "paddle-fp32",
        cores: Cores | None = None,
    ) -> None:
        """Load the pack's embedder and run it on each size of batch.

        It shares `cores` with the other networks that know them.

        Raises:
            ModelError: the processor has no such precision, or the engine is not installed.
            PackError: it does not load, or has other inputs or outputs than an embedder's.
        """
        keep_freed_memory()
        self._pack = pack
        self.dimension = pack.embedder.dimension
        self.fingerprint = pack.embedder.fingerprint
        self._preprocessor = Preprocessor(pack.embedder)
        self._widths: Widths[NDArray[np.float32], Vectors] = Widths(
            "embedder",
            lambda width: self._start(width, engine),
            threads,
            cores or Cores(),
        )
        self._worker: Worker[NDArray[np.float32], Vectors] = Worker(
            "embedder", self._widths.begin, max_batch=_MAX_BATCH
        )

    @property
    def queue_depth(self) -> int:
        """Batches that wait for the network."""
        return self._worker.depth

    def embed(self, crops: Sequence[Picture]) -> tuple[Vectors, StageTimes]:
        """Unit vectors float32 [N, dimension] of N crops uint8 [H, W, 3] (RGB), any size.

        Raises:
            ModelError: the network failed or gave no direction (zero, NaN, infinite), or the
                embedder has been closed.
        """
        if not crops:
            return np.empty((0, self.dimension), np.float32), StageTimes(0.0, 0.0, 0.0)
        started = time.perf_counter()
        pixels = self._preprocessor.batch(len(crops))
        for crop, out in zip(crops, pixels, strict=True):
            self._preprocessor.write(crop, out)
        submitted = time.perf_counter()
        chunks = [pixels[i : i + _MAX_BATCH] for i in range(0, len(pixels), _MAX_BATCH)]
        futures = [self._worker.submit(chunk, size=len(chunk)) for chunk in chunks]
        answers = [future.result() for future in futures]
        elapsed = (time.perf_counter() - submitted) * 1000
        # A chunk also waits for the caller's own earlier chunks: that is not the queue's doing.
        forward = sum(answer.forward for answer in answers)
        times = StageTimes((submitted - started) * 1000, forward, max(0.0, elapsed - forward))
        return np.concatenate([answer.result for answer in answers]), times

    def close(self) -> None:
        """Finish what was accepted and release the predictor."""
        self._worker.close()
        self._widths.close()

    def _start(
        self, threads: int, engine: Engine
    ) -> Callable[[Sequence[NDArray[np.float32]]], Sequence[Vectors]]:
        spec = self._pack.embedder
        model, params = self._pack.folder / spec.model, self._pack.folder / spec.params
        session = Session(model, params, threads, engine)
        if len(session.inputs) != 1:
            raise PackError(
                f"An embedder takes one image batch; this one takes {', '.join(session.inputs)}"
            )
        name = session.inputs[0]

        def forward(pixels: NDArray[np.float32]) -> Vectors:
            outputs = session.run({name: pixels})
            expected = (len(pixels), spec.dimension)
            if len(outputs) != 1 or outputs[0].shape != expected:
                shapes = ", ".join(str(list(output.shape)) for output in outputs)
                raise PackError(f"An embedder gives {list(expected)}; this one gives {shapes}")
            return np.asarray(outputs[0], np.float32)

        def run(chunks: Sequence[NDArray[np.float32]]) -> Sequence[Vectors]:
            vectors = _normalised(
                forward(chunks[0] if len(chunks) == 1 else np.concatenate(chunks))
            )
            return np.split(vectors, np.cumsum([len(chunk) for chunk in chunks])[:-1])

        pixels = self._preprocessor.batch(_MAX_BATCH)
        pixels[:] = 0
        # The first batch of a size takes longer, and memory: now, then, and not in service.
        for size in range(1, _MAX_BATCH + 1):
            forward(pixels[:size])
        return run


def _normalised(features: NDArray[np.float32]) -> Vectors:
    """Rows of float32 [N, D] at unit length; the network leaves this to the caller."""
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ModelError("The embedder gave a vector without direction (zero, NaN or infinite)")
    vectors: Vectors = (features / lengths).astype(np.float32)
    return vectors
