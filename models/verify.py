"""Is a pack fit to serve? Hashes, loading, one run of each network, and what came out."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.detector import Detector
from models.embedder import Embedder
from models.errors import ModelError, PackError
from models.pack import Pack
from models.session import Engine

_UNIT_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `detail` says what was found."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """Checks in the order they were made; those after a failure on which they rest are absent."""

    folder: Path
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def verify_pack(folder: Path, *, threads: int = 1, engine: Engine = "paddle-fp32") -> Report:
    """Load a pack and run both networks once on a made picture."""
    checks: list[Check] = []
    try:
        pack = Pack.load(folder)
    except PackError as error:
        return Report(folder, (Check("files", False, str(error)),))
    checks.append(Check("files", True, f"{pack.name} {pack.version}, every sha256 as recorded"))
    for name, look in (("detector", _look_at_detector), ("embedder", _look_at_embedder)):
        try:
            checks.append(Check(name, True, look(pack, threads, engine)))
        except ModelError as error:
            checks.append(Check(name, False, str(error)))
    return Report(folder, tuple(checks))


def _look_at_detector(pack: Pack, threads: int, engine: Engine) -> str:
    detector = Detector(pack, threads, engine)
    try:
        found, times = detector.detect(_bright_square())
    finally:
        detector.close()
    return f"{len(found)} boxes on a white square, {times.forward:.1f} ms"


def _look_at_embedder(pack: Pack, threads: int, engine: Engine) -> str:
    embedder = Embedder(pack, threads, engine)
    try:
        vectors, times = embedder.embed([_bright_square()])
    finally:
        embedder.close()
    length = float(np.linalg.norm(vectors[0]))
    if abs(length - 1) > _UNIT_TOLERANCE:
        raise PackError(f"The embedder's vector has length {length:.6f} instead of 1")
    return f"{embedder.dimension} numbers of length {length:.4f}, {times.forward:.1f} ms"


def _bright_square() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = np.full((240, 320, 3), 40, np.uint8)
    image[60:180, 100:220] = 230
    return image


def main() -> int:
    """`python -m models.verify FOLDER`: exit status 0 if the pack is fit, else say why not.

    A process of its own, because Paddle dies on some damaged files instead of raising.
    """
    report = verify_pack(Path(sys.argv[1]))
    for check in report.checks:
        if not check.passed:
            sys.stderr.write(f"{check.name}: {check.detail}\n")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
