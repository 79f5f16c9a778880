"""A process that is killed at any moment loses nothing that it has acknowledged."""

from pathlib import Path

from bench.gallery_kills import Witness

KILLS = 12


def test_every_acknowledged_change_survives_a_kill(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    for seed in range(KILLS):
        witness.round(seed)
    found = witness.found
    assert (found.lost, found.unexpected, found.disagreeing) == (0, 0, 0)
    assert found.acknowledged.total() > 10 * KILLS
    assert found.acknowledged["import"]
