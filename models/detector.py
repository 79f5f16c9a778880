"""Main-body detection: where in an image is something to recognise."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.allocation import keep_freed_memory
from models.errors import PackError
from models.network import Array
from models.pack import Pack
from models.preprocess import Picture, Preprocessor, Pyramid
from models.session import Engine, Session
from models.widths import Cores, Widths
from models.worker import StageTimes, Worker

# Batching detections hurts: 276 ms for four together, 60 ms for one.
_MAX_BATCH = 1
_MIN_SIDE = 1.0  # pixels; what is narrower cannot be cropped


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of the upright image; x1 < x2, y1 < y2, inside the image."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Detection:
    """One main body; `score` 0..1."""

    box: Box
    score: float


def crop(photograph: Pyramid, box: Box) -> Pyramid:
    """The pixels of `box`, at least one."""
    height, width = photograph.height, photograph.width
    left, top = min(int(box.x1), width - 1), min(int(box.y1), height - 1)
    right = min(max(round(box.x2), left + 1), width)
    bottom = min(max(round(box.y2), top + 1), height)
    return photograph.crop(left, top, right, bottom)


@dataclass(frozen=True, slots=True)
class _View:
    """One image for the network: pixels float32 [1, 3, h, w] and its original size."""

    pixels: NDArray[np.float32]
    height: int
    width: int


class Detector:
    """Detects class-agnostic main bodies. Thread-safe: one worker thread owns the predictor."""

    def __init__(
        self,
        pack: Pack,
        threads: int,
        engine: Engine = "paddle-fp32",
        cores: Cores | None = None,
    ) -> None:
        """Load the pack's detector and run it once.

        It shares `cores` with the other networks that know them.

        Raises:
            ModelError: the processor has no such precision, or the engine is not installed.
            PackError: it does not load, or has other inputs or outputs than a detector's.
        """
        keep_freed_memory()
        self._pack = pack
        self._preprocessor = Preprocessor(pack.detector)
        self._widths: Widths[_View, NDArray[np.float32]] = Widths(
            "detector",
            lambda width: self._start(width, engine),
            threads,
            cores or Cores(),
        )
        self._worker: Worker[_View, NDArray[np.float32]] = Worker(
            "detector", self._widths.begin, max_batch=_MAX_BATCH
        )

    @property
    def queue_depth(self) -> int:
        """Images that wait for the network."""
        return self._worker.depth

    def detect(
        self,
        picture: Picture,
        *,
        max_results: int | None = None,
        min_score: float | None = None,
    ) -> tuple[list[Detection], StageTimes]:
        """Main bodies in an image uint8 [H, W, 3] (RGB), best first.

        `max_results` and `min_score` are the pack's own unless given.

        Raises:
            ModelError: the network failed, or the detector has been closed.
        """
        spec = self._pack.detector
        started = time.perf_counter()
        pyramid = picture if isinstance(picture, Pyramid) else Pyramid(picture)
        pixels = self._preprocessor.batch(1)
        self._preprocessor.write(pyramid, pixels[0])
        preprocess = (time.perf_counter() - started) * 1000
        height, width = pyramid.height, pyramid.width
        answer = self._worker.submit(_View(pixels, height, width)).result()
        detections = _select(
            answer.result,
            height=height,
            width=width,
            max_results=spec.max_results if max_results is None else max_results,
            min_score=spec.score_threshold if min_score is None else min_score,
        )
        return detections, StageTimes(preprocess, answer.forward, answer.queue)

    def best_body(self, image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """The pixels of the best body in an image uint8 [H, W, 3] (RGB), if it shows any.

        Raises:
            ModelError: the network failed, or the detector has been closed.
        """
        photograph = Pyramid(image)
        found, _ = self.detect(photograph, max_results=1)
        return np.ascontiguousarray(crop(photograph, found[0].box).pixels) if found else None

    def close(self) -> None:
        """Finish what was accepted and release the predictor."""
        self._worker.close()
        self._widths.close()

    def _start(
        self, threads: int, engine: Engine
    ) -> Callable[[Sequence[_View]], Sequence[NDArray[np.float32]]]:
        spec = self._pack.detector
        model, params = self._pack.folder / spec.model, self._pack.folder / spec.params
        session = Session(model, params, threads, engine)
        find = _box_network(session)
        pixels = self._preprocessor.batch(1)
        pixels[:] = 0
        find(_View(pixels, *spec.input_size))
        return lambda views: [find(view) for view in views]


def _box_network(session: Session) -> Callable[[_View], NDArray[np.float32]]:
    """The official contract (PP-ShiTuV2's PicoDet): NMS is in the graph."""
    inputs = set(session.inputs)
    if not {"image", "scale_factor"} <= inputs <= {"image", "scale_factor", "im_shape"}:
        raise PackError(
            "A detector takes image, scale_factor and, at most, im_shape; "
            f"this one takes {', '.join(session.inputs)}"
        )

    def find(view: _View) -> NDArray[np.float32]:
        size = np.asarray(view.pixels.shape[2:], np.float32)
        feeds = {
            "image": view.pixels,
            # (y, x): the graph divides by it, so boxes come back in pixels of the image.
            "scale_factor": (size / (view.height, view.width))[None].astype(np.float32),
            "im_shape": size[None],
        }
        return _boxes_of(session.run({name: feeds[name] for name in session.inputs}))

    return find


def _boxes_of(outputs: Sequence[Array]) -> NDArray[np.float32]:
    """Float32 [M, 5] (score, x1, y1, x2, y2): names and order of outputs differ by export."""
    counts = [o for o in outputs if o.dtype.kind == "i" and o.ndim == 1]
    boxes = [o for o in outputs if o.dtype == np.float32 and o.ndim == 2]
    if len(counts) == len(boxes) == 1:
        found = int(counts[0].sum())
        # Older exports write a placeholder row where there is no box; the count tells.
        if found == 0:
            return np.empty((0, 5), np.float32)
        if boxes[0].shape[1] == 6 and found <= len(boxes[0]):
            return boxes[0][:found, 1:].astype(np.float32, copy=False)
    described = ", ".join(f"{o.dtype} {list(o.shape)}" for o in outputs)
    raise PackError(
        f"A detector gives boxes float32 [M, 6] and counts int32 [N]; this one gives {described}"
    )


def _select(
    found: NDArray[np.float32],
    *,
    height: int,
    width: int,
    max_results: int,
    min_score: float,
) -> list[Detection]:
    """The best of rows (score, x1, y1, x2, y2), clipped to the image, empty ones dropped."""
    found = found[np.isfinite(found).all(axis=1)]
    found = found[found[:, 0] >= min_score]
    found[:, 1::2] = found[:, 1::2].clip(0, width)
    found[:, 2::2] = found[:, 2::2].clip(0, height)
    wide = found[:, 3] - found[:, 1] >= _MIN_SIDE
    high = found[:, 4] - found[:, 2] >= _MIN_SIDE
    found = found[wide & high]
    best = np.argsort(-found[:, 0], kind="stable")[:max_results]
    return [Detection(Box(x1, y1, x2, y2), score) for score, x1, y1, x2, y2 in found[best].tolist()]
