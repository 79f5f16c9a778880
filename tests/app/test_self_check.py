import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from app.self_check import PICTURE, SelfCheck
from app.service import Service
from models.embedder import Embedder
from models.errors import ModelError
from models.worker import StageTimes

EVERY = 0.1


class Faulty:
    """The real embedder, whose vectors a test may spoil."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.scale = 1.0
        self.error: Exception | None = None

    def embed(self, crops: list) -> tuple[np.ndarray, StageTimes]:
        if self.error:
            raise self.error
        vectors, times = self._embedder.embed(crops)
        return vectors * np.float32(self.scale), times


def wait_for(check: SelfCheck, fault: str | None) -> None:
    """Until it says this; under load it may say that it is late before."""
    while (said := check.fault()) is None or fault is None or fault not in said:
        if said is fault is None:
            return
        time.sleep(EVERY / 5)


def test_a_service_that_recognises_is_ready(service: Service) -> None:
    assert service.not_ready() is None
    assert service.check.age < 3600


@pytest.mark.parametrize("scale", [0.0, 0.99, float("nan")])
def test_readiness_follows_the_vectors(service: Service, scale: float) -> None:
    embedder = Faulty(service.embedder)
    with closing(SelfCheck(service.detector, embedder, exit_after=0, every=EVERY)) as check:
        assert check.fault() is None
        embedder.scale = scale
        wait_for(check, "of length")
        embedder.scale = 1.0
        wait_for(check, None)


def test_readiness_follows_any_error(service: Service) -> None:
    embedder = Faulty(service.embedder)
    with closing(SelfCheck(service.detector, embedder, exit_after=0, every=EVERY)) as check:
        embedder.error = RuntimeError("oneDNN is unwell")
        wait_for(check, "oneDNN is unwell")


def test_readiness_follows_the_clock(service: Service) -> None:
    check = SelfCheck(service.detector, service.embedder, exit_after=0, every=EVERY)
    check.close()
    wait_for(check, "have not answered")


def test_a_service_does_not_start_on_a_faulty_network(service: Service) -> None:
    embedder = Faulty(service.embedder)
    embedder.scale = 2.0
    with pytest.raises(ModelError, match="length 2"):
        SelfCheck(service.detector, embedder, exit_after=0)


def test_the_picture_has_something_to_see() -> None:
    assert PICTURE.shape == (96, 128, 3)
    assert PICTURE.dtype == np.uint8
    assert PICTURE.std() > 40


STUCK = """
import time
from app.self_check import SelfCheck

class Stuck:
    def detect(self, image):
        time.sleep(600)

SelfCheck(Stuck(), None, exit_after=0.5)
"""


def test_a_network_that_hangs_ends_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    assert "Timeout (0:00:00.500000)!" in ended.stderr
    assert "self_check.py" in ended.stderr
