"""A gallery's folder is open in one process, and free again however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gallery import GalleryInUse, reembed, restore
from gallery.opening import read_contents
from tests.gallery.samples import DIMENSION, opened, vectors_of

ROOT = Path(__file__).parents[2]


def test_a_second_one_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path / "g") as gallery:
        gallery.put_product("p", "P", {})
        gallery.backup(tmp_path / "backup")
        for second in (
            lambda: opened(tmp_path / "g"),
            lambda: restore(tmp_path / "backup", tmp_path / "g"),
            lambda: reembed(
                tmp_path / "g",
                dimension=DIMENSION,
                fingerprint="new",
                embed=lambda jpegs: [vectors_of(jpeg) for jpeg in jpegs],
                progress=lambda _done, _total: None,
            ),
        ):
            with pytest.raises(GalleryInUse, match=str(tmp_path / "g")):
                second()
        # Reading beside it is for all.
        with read_contents(f"sqlite:///{tmp_path / 'g'}", pictures="") as held:
            assert held.product_count == 1
        gallery.put_product("q", "Q", {})
    with opened(tmp_path / "g") as gallery:
        assert gallery.stats().products == 2


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.gallery.samples import opened;"
        "gallery = opened(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    holding = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    with holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == b"open\n"
        with pytest.raises(GalleryInUse):
            opened(tmp_path)
        holding.send_signal(signal.SIGKILL)
    opened(tmp_path).close()


def test_a_program_that_is_started_meanwhile_does_not_hold_it(tmp_path: Path) -> None:
    gallery = opened(tmp_path)
    started = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
    )
    with started:
        gallery.close()
        opened(tmp_path).close()
        started.communicate(b"\n")
