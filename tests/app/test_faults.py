"""What goes wrong around a running service, done to a real one: disk, lock, pack, signals."""

import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.app import pictures
from tests.app.problems import assert_problem
from tests.app.processes import RunningService, running_service, service_environment

ROOT = Path(__file__).parents[2]
ZIP = {"Content-Type": "application/zip"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service on a pack of its own, which may be damaged."""
    folder = tmp_path_factory.mktemp("faults") / "data"
    pack = folder / "packs" / "copy"
    shutil.copytree(ROOT / "models" / "packs" / "embedded", pack)
    text = (pack / "pack.toml").read_text(encoding="utf-8")
    (pack / "pack.toml").write_text(text.replace('"embedded"', '"copy"'), encoding="utf-8")
    with running_service(folder, sample_gallery=False, pack="copy") as service:
        service.client.put("/gallery/products/kept", json={"name": "Kept"})
        service.client.post("/gallery/products/kept/images", files={"images": pictures.jpeg(1)})
        yield service


@contextmanager
def full_disk(service: RunningService) -> Iterator[None]:
    """No file of the process can be written: the kernel refuses every write, as on a full disk."""
    pid = service.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def assert_recognises(service: RunningService) -> None:
    answer = service.client.post("/recognize?detect=false", files={"image": pictures.jpeg(1)})
    assert answer.json()["results"][0]["product"]["id"] == "kept"


def test_a_full_disk_refuses_changes_and_nothing_else(running: RunningService) -> None:
    client = running.client
    revision = client.get("/gallery").json()["revision"]
    with full_disk(running):
        answer = client.put("/gallery/products/new", json={"name": "New"})
        assert_problem(answer, 503, "storage-failed")
        files = {"images": pictures.jpeg(2)}
        answer = client.post("/gallery/products/kept/images", files=files)
        assert_problem(answer, 503, "storage-failed")
        assert_problem(client.delete("/gallery/products/kept"), 503, "storage-failed")
        answer = client.post("/gallery/import", content=b"PK" * 100_000, headers=ZIP)
        assert_problem(answer, 503, "storage-failed")
        assert_problem(client.post("/gallery/rebuild"), 503, "storage-failed")
        assert_recognises(running)
        assert client.get("/readyz").is_success
        assert client.get("/gallery").json()["revision"] == revision
    assert client.put("/gallery/products/new", json={"name": "New"}).status_code == 201
    assert client.delete("/gallery/products/new").is_success
    assert_recognises(running)


def test_a_database_that_another_program_holds(running: RunningService, tmp_path: Path) -> None:
    file = running.log.parent / "data" / "gallery" / "gallery.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = running.client.put("/gallery/products/new", json={"name": "New"})
        problem = assert_problem(answer, 503, "storage-failed")
        assert "no other program" in problem["detail"]
        assert_recognises(running)
        other.execute("ROLLBACK")
    time.sleep(1)  # which it is not asked for again
    assert running.client.put("/gallery/products/new", json={"name": "New"}).status_code == 201
    assert running.client.delete("/gallery/products/new").is_success


def test_many_changes_that_wait_hold_up_nobody_else(running: RunningService) -> None:
    file = running.log.parent / "data" / "gallery" / "gallery.sqlite3"
    begun = time.monotonic()

    def put(number: int) -> tuple[int, float]:
        client = httpx2.Client(base_url=running.url, timeout=60, trust_env=False)
        with client:
            answer = client.put(f"/gallery/products/{number}", json={"name": "New"})
            return answer.status_code, time.monotonic() - begun

    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        ThreadPoolExecutor(60) as threads,
    ):
        other.execute("BEGIN IMMEDIATE")
        changes = [threads.submit(put, number) for number in range(60)]
        time.sleep(0.5)
        assert_recognises(running)
        assert running.client.get("/readyz").is_success
        assert running.client.get("/gallery").is_success
        assert running.client.get("/metrics").is_success
        assert not any(change.done() for change in changes)
        answers = [change.result() for change in changes]
        other.execute("ROLLBACK")
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 9  # 5 s, and what a busy machine takes


def test_the_data_folder_is_moved_away_and_back(tmp_path: Path) -> None:
    data, aside = tmp_path / "data", tmp_path / "aside"
    with running_service(data, sample_gallery=False) as service:
        client = service.client
        client.put("/gallery/products/kept", json={"name": "Kept"})
        client.post("/gallery/products/kept/images", files={"images": pictures.jpeg(1)})
        data.rename(aside)
        data.mkdir()
        answer = client.put("/gallery/products/lost", json={"name": "Lost"})
        assert "moved or replaced" in assert_problem(answer, 503, "storage-failed")["detail"]
        assert_problem(client.get("/readyz"), 503, "not-ready")
        assert "\ntillsight_ready 0.0\n" in client.get("/metrics").text
        assert_recognises(service)
    assert not (data / "gallery").exists()
    shutil.rmtree(data)
    aside.rename(data)
    with running_service(data, sample_gallery=False) as service:
        assert_recognises(service)


def test_a_page_of_the_database_is_damaged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_service(data, sample_gallery=False) as service:
        service.client.put("/gallery/products/kept", json={"name": "Kept"})
        service.client.post("/gallery/products/kept/images", files={"images": pictures.jpeg(1)})
    file = data / "gallery" / "gallery.sqlite3"
    with closing(sqlite3.connect(file)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = 'products'").fetchall()
    content = bytearray(file.read_bytes())
    for (page,) in pages:
        content[(page - 1) * 4096 : page * 4096] = bytes(range(256)) * 16
    file.write_bytes(content)
    # Nobody looks before it is asked.
    with running_service(data, sample_gallery=False, rerank=False) as service:
        for _ in range(3):
            answer = service.client.post("/recognize", files={"image": pictures.jpeg(1)})
            problem = assert_problem(answer, 503, "gallery-damaged")
            assert str(data) not in problem["detail"]
        assert (
            "damaged" in assert_problem(service.client.get("/readyz"), 503, "not-ready")["detail"]
        )
        assert "\ntillsight_ready 0.0\n" in service.client.get("/metrics").text
        log = service.log.read_text()
    assert "Traceback" not in log
    assert log.count("Restore it from a backup") == 1


def test_a_pack_damaged_while_it_serves(running: RunningService, tmp_path: Path) -> None:
    pack = running.log.parent / "data" / "packs" / "copy"
    params = pack / "embedder.pdiparams"
    whole = params.read_bytes()
    try:
        with params.open("r+b") as file:
            file.truncate(1000)
        assert_recognises(running)
        assert running.client.get("/readyz").is_success
        data = running.log.parent / "data"
        again = subprocess.run(
            [sys.executable, "-m", "app.cli", "models", "verify", "copy"],
            env=service_environment(data),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert again.returncode == 1
        assert f"failed files: {params} is not the file" in again.stdout
        assert "Traceback" not in again.stderr
        shutil.copytree(pack, tmp_path / "packs" / "copy")
        start = subprocess.run(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
            env=service_environment(tmp_path, pack="copy"),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert start.returncode == 1
        assert "embedder.pdiparams" in start.stderr
        assert "Traceback" not in start.stderr
        # The one that runs has the networks in memory, and checks them all the time.
        assert_recognises(running)
        assert running.client.get("/readyz").is_success
    finally:
        params.write_bytes(whole)


def test_out_of_files_the_log_stays_small(running: RunningService) -> None:
    pid = running.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    host, port = running.url.removeprefix("http://").split(":")
    with ExitStack() as opened:
        taken = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (taken + 2, before[1]))
        try:
            for _ in range(10):
                opened.enter_context(socket.create_connection((host, int(port)), timeout=60))
            time.sleep(1)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert running.log.read_text().count("out of system resource") == 1
    assert_recognises(running)


@contextmanager
def hangups(handler: signal.Handlers) -> Iterator[None]:
    """What becomes of SIGHUP, for processes that are started meanwhile."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_what_was_accepted(tmp_path: Path, number: signal.Signals) -> None:
    """A request whose body is still arriving when the service is told to stop is answered."""
    with (
        hangups(signal.SIG_DFL),  # the tests may run under nohup
        running_service(tmp_path / "data", sample_gallery=False) as service,
    ):
        body = pictures.jpeg(3)
        head = (
            "POST /recognize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        address = service.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=60) as connection:
            connection.sendall(head.encode() + body[:-100])
            # Answered behind it, so the head above has been read.
            assert service.client.get("/healthz").is_success
            service.process.send_signal(number)
            while refuses(address) is False:
                time.sleep(0.05)
            connection.sendall(body[-100:])
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'"request_id"' in answer
        assert service.process.wait(timeout=60) == 0
        service.client.close()


def test_under_nohup_it_goes_on(tmp_path: Path) -> None:
    with hangups(signal.SIG_IGN):
        service = RunningService(tmp_path / "data", sample_gallery=False)
    service.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert service.client.get("/healthz").is_success
    assert service.stop() == 0


def refuses(address: list[str]) -> bool:
    try:
        socket.create_connection((address[0], int(address[1])), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("folder", ["/proc/tillsight", "/dev/null/data"])
def test_a_folder_that_can_not_be_written_is_named(folder: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        env=service_environment(Path(folder)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert folder in ended.stderr
    assert "TILLSIGHT_DATA_DIR" in ended.stderr
    assert "Traceback" not in ended.stderr


def refused(data: Path, *, room: int = resource.RLIM_INFINITY) -> str:
    """What a start that is refused says, which is one line; `room`: bytes that a file may have."""

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
        env=service_environment(data, sample_gallery=False),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=fill,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


def test_a_first_start_on_a_full_disk(tmp_path: Path) -> None:
    said = refused(tmp_path, room=0)
    assert str(tmp_path) in said
    assert "free space" in said


def test_a_start_again_on_a_full_disk(tmp_path: Path) -> None:
    with running_service(tmp_path, sample_gallery=False):
        pass
    said = refused(tmp_path, room=1000)
    assert "free space" in said
    assert "moved away" not in said


def test_a_start_with_something_else_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "photographs").write_text("notes")
    said = refused(tmp_path)
    assert str(tmp_path / "photographs") in said
    assert "permissions" in said


def test_beyond_the_loopback_only_with_keys(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.cli"]
    environment = service_environment(tmp_path, host="0.0.0.0", port=0, sample_gallery=False)
    refused = subprocess.run(
        [*command, "serve"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 1
    assert "tillsight keys create" in refused.stderr
    assert "TILLSIGHT_ANONYMOUS_ACCESS=true" in refused.stderr
    made = subprocess.run(
        [*command, "keys", "create", "till", "--scope", "recognize"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    key = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with running_service(tmp_path, host="0.0.0.0", sample_gallery=False) as service:
        assert_problem(service.client.get("/gallery"), 401, "missing-key")
        files = {"image": pictures.jpeg(1)}
        assert service.client.post("/recognize", files=files, headers=key).is_success
        assert_problem(service.client.get("/gallery", headers=key), 403, "missing-scope")
        # A command on the data folder is the operator's own: it needs no key.
        stats = subprocess.run(
            [*command, "gallery", "stats"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert '"products": 0' in stats.stdout, stats.stderr
