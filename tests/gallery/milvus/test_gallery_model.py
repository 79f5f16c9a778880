"""The machine on a gallery on Milvus.

Flushing and compacting take seconds there: the contract asks for them.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import initialize, run_state_machine_as_test

from bench.milvus_server import MilvusServer
from gallery.milvus import MilvusGallery
from tests.gallery.machine import DIMENSION, GalleryMachine
from tests.gallery.milvus.opening import emptied, opened


class MilvusMachine(GalleryMachine):
    url: str

    @initialize()
    def empty(self) -> None:
        emptied(self.url)
        self.start()

    def opened(self) -> MilvusGallery:
        return opened(self.url, self.folder, DIMENSION)


def test_it_answers_as_a_dict_would(milvus: MilvusServer) -> None:
    run_state_machine_as_test(
        type("Machine", (MilvusMachine,), {"url": f"{milvus.url}/model"}),
        settings=settings(
            max_examples=6,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
