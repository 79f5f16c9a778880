"""The machine on a gallery of this machine, whose index is damaged and whose backups come back."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from gallery import Gallery, HistoryForgotten, restore
from tests.gallery.machine import DIMENSION, GalleryMachine
from tests.gallery.samples import flip_byte, index_files, opened


class LocalMachine(GalleryMachine):
    @initialize(graph_from=st.sampled_from([6, 10**6]))
    def choose(self, graph_from: int) -> None:
        self.graph_from = graph_from
        self.start()

    def opened(self) -> Gallery:
        return opened(self.folder, dimension=DIMENSION, compact_at=5, graph_from=self.graph_from)

    @rule(damage=st.sampled_from(["flip", "cut", "remove"]), place=st.integers(0, 10**6))
    def damage_the_index(self, damage: str, place: int) -> None:
        self.gallery.close()
        if files := index_files(self.folder):
            path = files[place % len(files)]
            if damage == "flip":
                flip_byte(path, place % path.stat().st_size)
            elif damage == "cut":
                path.write_bytes(path.read_bytes()[:-1])
            else:
                path.unlink()
        self.gallery = self.opened()

    @rule()
    def rebuild(self) -> None:
        self.gallery.rebuild()

    @rule()
    def compact(self) -> None:
        self.gallery.compact()

    @rule()
    def restore_a_backup(self) -> None:
        backup = self.folder.with_suffix(".backup")
        self.gallery.backup(backup)
        self.gallery.put_product("d", "after the backup", {})
        self.gallery.close()
        restore(backup, self.folder)
        backup.unlink()
        self.gallery = self.opened()
        with pytest.raises(HistoryForgotten):
            self.gallery.changes(self.revision, 1)
        self.read_all()

    @rule()
    def snapshot(self) -> None:
        self.gallery.snapshot()


TestLocalMachine = LocalMachine.TestCase
TestLocalMachine.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
