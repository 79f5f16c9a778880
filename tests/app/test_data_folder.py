import fcntl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from app.data_folder import DataFolder, DataFolderInUse, Serving, serving


def test_whoever_holds_it_is_told(tmp_path: Path) -> None:
    with closing(DataFolder(tmp_path)) as folder:
        with pytest.raises(DataFolderInUse, match="A command or a service that starts"):
            DataFolder(tmp_path)
        folder.announce(Serving("http://127.0.0.1:1234", "key"))
        with pytest.raises(DataFolderInUse, match=r"already serves .* at http://127.0.0.1:1234\."):
            DataFolder(tmp_path)
    assert serving(tmp_path) is None
    DataFolder(tmp_path).close()


def test_a_command_that_looks_for_the_service_keeps_none_from_starting(tmp_path: Path) -> None:
    DataFolder(tmp_path).close()

    def start() -> None:
        DataFolder(tmp_path).close()

    with ThreadPoolExecutor(1) as pool:
        with (tmp_path / "service.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            starting = pool.submit(start)
            time.sleep(0.2)
        starting.result(10)
