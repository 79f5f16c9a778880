import sqlite3
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from unittest.mock import Mock

import pytest
from starlette.testclient import TestClient

from app import idempotency
from app.cli.maintenance import restore
from app.idempotency import Answer, Answers, KeyInUse, KeyReused
from app.service import Service
from gallery import GalleryDamaged, StorageFailed
from tests.app import pictures
from tests.app.problems import assert_problem
from tests.app.test_http_gallery import put
from tests.app.test_http_import import ZIP, finished, shop
from tests.gallery.samples import opened

DONE = Answer(201, "application/json", b"{}")


def add(client: TestClient, key: str, *seeds: int, product: str = "sku-1", name: str = "{}.jpg"):
    parts = [("images", (name.format(seed), pictures.jpeg(seed), "image/jpeg")) for seed in seeds]
    return client.post(
        f"/gallery/products/{product}/images", files=parts, headers={"Idempotency-Key": key}
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite3"


def test_the_same_request_is_answered_as_before(client: TestClient) -> None:
    put(client)
    first = add(client, "first", 1, 2)
    assert first.status_code == 201
    revision = client.get("/gallery").json()["revision"]
    # In another form, with another boundary, the files under other names as a queue on a disk has
    # them, and with the key in quotes as the draft has it.
    second = add(client, '"first"', 1, 2, name="upload-{}.tmp")
    assert (second.status_code, second.content) == (201, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert client.get("/gallery").json()["revision"] == revision
    without = client.post("/gallery/products/sku-1/images", files={"image": pictures.jpeg(1)})
    assert without.json()["images"][0]["duplicate"]


def test_a_key_is_for_one_request(client: TestClient) -> None:
    put(client)
    put(client, "sku-2")
    assert add(client, "mine", 1).status_code == 201
    for other in (
        add(client, "mine", 2),
        add(client, "mine", 1, 1),
        add(client, "mine", 1, product="sku-2"),
        client.post("/gallery/rebuild", headers={"Idempotency-Key": "mine"}),
    ):
        assert_problem(other, 422, "idempotency-key-reused")
    assert client.get("/gallery").json()["images"] == 1


def test_a_problem_is_an_answer_too(client: TestClient) -> None:
    assert_problem(add(client, "early", 1), 404, "unknown-product")
    put(client)
    assert_problem(add(client, "early", 1), 404, "unknown-product")
    assert add(client, "later", 1).status_code == 201


def test_a_lack_of_memory_is_no_answer_for_good(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client)
    with monkeypatch.context() as patched:
        patched.setattr("app.images.simplejpeg.decode_jpeg", Mock(side_effect=MemoryError))
        assert_problem(add(client, "short", 1, 2), 503, "out-of-memory")
    assert add(client, "short", 1, 2).status_code == 201


def test_an_import_and_a_rebuild_are_started_once(client: TestClient, service: Service) -> None:
    jobs = service.settings.data_dir / "jobs"
    for path, sent in (
        ("/gallery/import", {"content": shop(), "headers": ZIP}),
        ("/gallery/rebuild", {}),
    ):
        headers = {**sent.pop("headers", {}), "Idempotency-Key": f'"key of {path}"'}
        answers = [client.post(path, headers=headers, **sent) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert answers[0].json() == answers[1].json()
        assert finished(client, answers[0].json()["job_id"])["state"] == "done"
    assert all((folder / "job.json").exists() for folder in jobs.iterdir())
    other = {**ZIP, "Idempotency-Key": '"key of /gallery/import"'}
    answer = client.post("/gallery/import?dry_run=true", content=shop(), headers=other)
    assert_problem(answer, 422, "idempotency-key-reused")


@pytest.mark.parametrize("key", ["", " ", '""', '"', 'a"b', "two words", "x" * 201, b"\xe9"])
def test_what_is_no_key(client: TestClient, key: str) -> None:
    answer = client.post("/gallery/rebuild", headers={"Idempotency-Key": key})
    assert_problem(answer, 400, "malformed-idempotency-key")


def test_a_request_that_is_still_being_answered(file: Path) -> None:
    with closing(Answers(file)) as answers:
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> Answer:
            begun.set()
            go_on.wait(10)
            return DONE

        thread = threading.Thread(target=answers.once, args=("key", "request", slow))
        thread.start()
        assert begun.wait(10)
        with pytest.raises(KeyInUse):
            answers.once("key", "request", lambda: DONE)
        assert answers.once("other key", "request", lambda: DONE) == DONE
        go_on.set()
        thread.join()
        assert answers.once("key", "request", never) == DONE


def test_who_sends_again_too_soon_is_told_when(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def running(*_: object) -> Answer:
        raise KeyInUse

    monkeypatch.setattr(service.answers, "once", running)
    answer = client.post("/gallery/rebuild", headers={"Idempotency-Key": "mine"})
    assert_problem(answer, 409, "idempotency-key-in-use")
    assert answer.headers["retry-after"] == "1"


def never() -> Answer:
    raise AssertionError("it was done again")


def test_answers_survive_a_restart(file: Path) -> None:
    with closing(Answers(file)) as answers:
        answers.once("key", "request", lambda: DONE)
    with closing(Answers(file)) as answers:
        assert answers.once("key", "request", never) == DONE
        with pytest.raises(KeyReused):
            answers.once("key", "another request", never)


def test_faults_may_be_tried_again(file: Path) -> None:
    fault = Answer(503, "application/problem+json", b"{}")

    def broken() -> Answer:
        raise OSError("the disk is full")

    with closing(Answers(file)) as answers:
        with pytest.raises(OSError, match="full"):
            answers.once("key", "request", broken)
        assert answers.once("key", "request", lambda: fault) == fault
        assert answers.once("key", "request", lambda: DONE) == DONE


def test_answers_are_forgotten_after_a_day(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000
    monkeypatch.setattr(idempotency, "_now", lambda: now)
    with closing(Answers(file)) as answers:
        answers.once("key", "request", lambda: DONE)
        now += idempotency.KEPT_SECONDS - 1
        assert answers.once("key", "request", never) == DONE
        now += 1
        again = Answer(200, "text/plain", b"again")
        assert answers.once("key", "another request", lambda: again) == again


def test_what_a_restored_gallery_does_not_know_of_is_done_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLSIGHT_DATA_DIR", str(tmp_path))
    with opened(tmp_path / "gallery") as gallery:
        gallery.backup(tmp_path / "backup")
        with closing(Answers(file)) as answers:
            answers.once("key", "request", lambda: DONE)
    restore(tmp_path / "backup")
    again = Answer(201, "application/json", b'{"again": true}')
    with closing(Answers(file)) as answers:
        assert answers.once("key", "request", lambda: again) == again


def test_a_restore_that_is_refused_makes_nothing_forgotten(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLSIGHT_DATA_DIR", str(tmp_path))
    with closing(Answers(file)) as answers:
        answers.once("key", "request", lambda: DONE)
    (tmp_path / "backup").write_bytes(b"no backup")
    with pytest.raises(GalleryDamaged):
        restore(tmp_path / "backup")
    with closing(Answers(file)) as answers:
        assert answers.once("key", "request", never) == DONE


@pytest.mark.parametrize("fault", ["held by another program", "a folder in its way"])
def test_a_sound_file_that_can_not_be_opened_is_left_alone(file: Path, fault: str) -> None:
    with closing(Answers(file)) as answers:
        answers.once("key", "request", lambda: DONE)
    with ExitStack() as undone:
        if fault == "held by another program":
            other = undone.enter_context(closing(sqlite3.connect(file, isolation_level=None)))
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
        else:
            file.with_name("answers.sqlite3-wal").mkdir()
            undone.callback(file.with_name("answers.sqlite3-wal").rmdir)
        with pytest.raises(StorageFailed, match="no other program holds"):
            Answers(file)
    with closing(Answers(file)) as answers:
        assert answers.once("key", "request", never) == DONE


@pytest.mark.parametrize("start", [0, 100, 2000])
def test_a_damaged_file_is_made_anew(file: Path, start: int) -> None:
    with closing(Answers(file)) as answers:
        answers.once("key", "request", lambda: DONE)
    data = bytearray(file.read_bytes())
    data[start : start + 4000] = b"\xa5" * 4000
    file.write_bytes(data)
    with closing(Answers(file)) as answers:
        answers.once("key", "request", lambda: DONE)
        assert answers.once("key", "request", never) == DONE
