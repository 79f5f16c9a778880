"""The recipes of docs/operations.md that no Docker is needed for, on a service that runs."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tests.app.documents import run, shell_blocks
from tests.app.processes import running_service


def inside(data: Path) -> str:
    """The lines for systemd that the nightly backup begins with, without the service's user."""
    (lines,) = shell_blocks("docs/operations.md", "inside() { sudo")
    return (
        lines.replace("data=/var/lib/tillsight", f"data={data}")
        .replace("sudo -u tillsight ", "")
        .replace("/opt/tillsight/.venv/bin", str(Path(sys.executable).parent))
    )


def test_the_nightly_backup_keeps_gallery_keys_and_feedback(tmp_path: Path) -> None:
    (script,) = shell_blocks("docs/operations.md", "find /mnt/backup")
    _, docker, rest = script.partition('inside() { docker compose exec -T tillsight "$@"; }\n')
    assert docker
    data, backups, restored = tmp_path / "data", tmp_path / "backups", tmp_path / "restored"
    backups.mkdir()
    with running_service(data, sample_gallery=True) as service:
        create = "inside tillsight keys create till-1 --scope recognize"
        run(inside(data) + create, service, tmp_path)
        run(inside(data) + rest.replace("/mnt/backup", str(backups)), service, tmp_path)
        (night,) = backups.iterdir()
        kept = {file.name for file in night.iterdir()}
        assert kept == {"gallery.backup", "keys.json", "feedback.sqlite3"}
        assert not list(data.glob("nightly*"))
        assert "till-1" in (night / "keys.json").read_text()
        with closing(sqlite3.connect(night / "feedback.sqlite3")) as feedback:
            assert feedback.execute("SELECT count(*) FROM items").fetchone() == (0,)
        restore = f"inside tillsight gallery restore {night}/gallery.backup\n"
        stats = run(inside(restored) + restore + "inside tillsight gallery stats", service)
        assert '"products": 12' in stats
