import errno
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from app.cli.maintenance import restore
from app.jobs import KEPT_JOBS, Job, Jobs, StopJob, UnknownJob, begin_anew
from gallery import StorageFailed
from gallery.durable import put_in_place
from tests.gallery.samples import opened


def wait(jobs: Jobs, job_id: str) -> Job:
    for _ in range(1000):
        job = jobs.get(job_id)
        if job.finished_at:
            return job
        Event().wait(0.01)
    raise AssertionError(f"still {job.state}")


def counting(items: int, taken: list[int]):
    def work(job: Job, _: Path, save) -> None:
        job.total = items
        while job.done < items:
            taken.append(job.done)
            job.done += 1
            save()

    return work


def test_jobs_run_in_order_and_tell_how_far_they_are(tmp_path: Path) -> None:
    taken: list[int] = []
    jobs = Jobs(tmp_path, {"rebuild": counting(3, taken)})
    first, second = jobs.start("rebuild"), jobs.start("rebuild")
    assert wait(jobs, second.id).done == 3
    assert wait(jobs, first.id).state == "done"
    assert taken == [0, 1, 2, 0, 1, 2]
    jobs.close()


def test_a_job_goes_on_after_a_restart(tmp_path: Path) -> None:
    reached, taken = Event(), []

    def interrupted(job: Job, _: Path, save) -> None:
        job.total = 5
        while job.done < 5:
            job.done += 1
            if job.done == 2:
                reached.set()
                Event().wait(0.2)
            save()

    jobs = Jobs(tmp_path, {"import": interrupted})
    folder = jobs.prepare()
    (folder / "archive.zip").write_bytes(b"kept until it is done")
    job = jobs.start("import", folder)
    assert reached.wait(10)
    jobs.close()
    assert (folder / "archive.zip").exists()

    jobs = Jobs(tmp_path, {"import": counting(5, taken)})
    done = wait(jobs, job.id)
    assert (done.state, done.done) == ("done", 5)
    assert taken == [2, 3, 4]
    jobs.close()
    assert not (folder / "archive.zip").exists()


def test_a_job_that_comes_no_further_is_given_up(tmp_path: Path) -> None:
    taken: list[int] = []
    record = ""

    def killed(job: Job, folder: Path, save) -> None:
        """Ends, as far as the record tells, where the service would: behind its first batch."""
        nonlocal record
        taken.append(job.done)
        if job.done < 2:
            job.total, job.done = 3, job.done + 1
        save()
        record = (folder / "job.json").read_text()
        raise StopJob

    for _ in range(5):
        with closing(Jobs(tmp_path, {"import": killed, "rebuild": counting(1, [])})) as jobs:
            if not taken:
                job = jobs.start("import", jobs.prepare())
            assert wait(jobs, jobs.start("rebuild").id).state == "done"
            assert jobs.get(job.id).state == "running"
        # Killed, it could not have told that it was stopped.
        (tmp_path / job.id / "job.json").write_text(record)
    with closing(Jobs(tmp_path, {"import": killed})) as jobs:
        given_up = wait(jobs, job.id)
    assert given_up.state == "failed"
    assert "begun 3 times, and came no further than 2 items" in str(given_up.detail)
    assert taken == [0, 1, 2, 2, 2]


def test_a_job_that_was_stopped_is_not_given_up(tmp_path: Path) -> None:
    for _ in range(5):
        with closing(Jobs(tmp_path, {"import": stopped, "rebuild": counting(1, [])})) as jobs:
            if not any(job.kind == "import" for job in jobs.latest()):
                job = jobs.start("import")
            assert wait(jobs, jobs.start("rebuild").id).state == "done"
    with closing(Jobs(tmp_path, {"import": counting(1, [])})) as jobs:
        assert wait(jobs, job.id).state == "done"


def test_what_was_undone_is_begun_anew_and_what_is_done_is_not(tmp_path: Path) -> None:
    taken: list[int] = []

    def stopped(job: Job, folder: Path, save) -> None:
        job.total, job.done, job.added = 3, 2, 2
        save()
        raise StopJob

    with closing(Jobs(tmp_path, {"import": counting(1, taken), "rebuild": stopped})) as jobs:
        finished = wait(jobs, jobs.start("import").id)
        unfinished = jobs.start("rebuild", dry_run=True)
    begin_anew(tmp_path)
    begin_anew(tmp_path / "none")
    taken.clear()
    with closing(Jobs(tmp_path, {"rebuild": counting(3, taken)})) as jobs:
        again = wait(jobs, unfinished.id)
        assert jobs.get(finished.id) == finished
    assert taken == [0, 1, 2]
    assert (again.added, again.dry_run, again.created_at) == (0, True, unfinished.created_at)


@pytest.fixture
def undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of a job amid its work, in a data folder with a backup from before it."""
    monkeypatch.setenv("TILLSIGHT_DATA_DIR", str(tmp_path))
    with opened(tmp_path / "gallery") as gallery:
        gallery.backup(tmp_path / "backup")
        gallery.put_product("p", "P", {})
    record = tmp_path / "jobs" / "amid" / "job.json"
    record.parent.mkdir(parents=True)
    job = Job(id="amid", kind="import", done=5, total=9, created_at=datetime.now(UTC))
    record.write_text(job.model_dump_json())
    return record


def test_a_restore_that_is_killed_has_jobs_begin_anew(
    undone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(written: Path, path: Path) -> None:
        put_in_place(written, path)
        raise KeyboardInterrupt

    monkeypatch.setattr("gallery.backup.put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "backup")
    with opened(tmp_path / "gallery") as gallery:
        assert gallery.stats().products == 0
    assert Job.model_validate_json(undone.read_text()).done == 0


def test_a_restore_is_refused_when_jobs_can_not_begin_anew(undone: Path, tmp_path: Path) -> None:
    (undone.parent / "job.partial").symlink_to("/dev/full")
    with pytest.raises(StorageFailed, match="No space left"):
        restore(tmp_path / "backup")
    with opened(tmp_path / "gallery") as gallery:
        assert gallery.stats().products == 1


def test_a_failure_is_told_and_the_next_job_runs(tmp_path: Path) -> None:
    def failing(job: Job, _: Path, __) -> None:
        raise OSError("the disk is full")

    jobs = Jobs(tmp_path, {"import": failing, "rebuild": counting(1, [])})
    failed = wait(jobs, jobs.start("import").id)
    assert (failed.state, failed.detail) == ("failed", "the disk is full")
    assert wait(jobs, jobs.start("rebuild").id).state == "done"
    jobs.close()


def test_what_never_became_a_job_is_swept_away(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, {})
    (jobs.prepare() / "archive.zip").write_bytes(b"half an upload")
    jobs.close()
    Jobs(tmp_path, {}).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    with closing(Jobs(tmp_path / "jobs", {"import": counting(1, [])})) as jobs:
        assert wait(jobs, jobs.start("import").id).state == "done"
        shutil.rmtree(tmp_path / "jobs")
        assert wait(jobs, jobs.start("import").id).state == "done"


def test_a_job_that_can_not_be_read_is_kept_for_a_start_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "job.json").write_text('{"id": "newer", "kind": "import-v2", "state": "queued"}')
    with closing(Jobs(tmp_path, {"import": stopped})) as jobs:
        folder = jobs.prepare()
        (folder / "archive.zip").write_bytes(b"accepted")
        job = jobs.start("import", folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        Jobs(tmp_path, {}).close()
    assert (folder / "archive.zip").exists()
    with closing(Jobs(tmp_path, {"import": counting(1, [])})) as jobs:
        assert wait(jobs, job.id).state == "done"
    assert (newer / "job.json").exists()
    assert f"{newer} can't be read" in caplog.text


def stopped(job: Job, _: Path, __) -> None:
    raise StopJob


def refuse(*_: Path) -> bytes:
    raise OSError(errno.EMFILE, "Too many open files")


def test_the_newest_jobs_come_first_without_their_errors(tmp_path: Path) -> None:
    def refusing(job: Job, _: Path, __) -> None:
        job.fail_item("a.jpg", "unusable-image", "it is none")

    with closing(Jobs(tmp_path, {"import": refusing, "rebuild": counting(1, [])})) as jobs:
        first, second = jobs.start("import"), jobs.start("rebuild")
        wait(jobs, second.id)
        newest, oldest = jobs.latest()
        assert (newest.id, oldest.id) == (second.id, first.id)
        assert oldest.failed == 1
        assert "errors" not in oldest.model_dump()


def test_an_unknown_job(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, {})
    with pytest.raises(UnknownJob, match="no job 'x'"):
        jobs.get("x")
    with pytest.raises(UnknownJob, match="no job 'x'"):
        jobs.cancel("x")
    jobs.close()


def test_a_job_that_can_not_be_recorded_does_not_hold_up_the_next(tmp_path: Path) -> None:
    def work(job: Job, folder: Path, _) -> None:
        if job.kind == "import":
            # Every write to it is refused, as on a full disk.
            (folder / "job.partial").symlink_to("/dev/full")

    with closing(Jobs(tmp_path, {"import": work, "rebuild": work})) as jobs:
        unrecorded = jobs.start("import")
        assert wait(jobs, jobs.start("rebuild").id).state == "done"
    with closing(Jobs(tmp_path, {"import": lambda *_: None})) as jobs:
        assert wait(jobs, unrecorded.id).state == "done"


def test_on_a_full_disk_what_failed_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.MOST_TRIES", 1)

    def work(job: Job, folder: Path, _) -> None:
        # The record can't be written as long as this is there.
        (folder / "job.partial").symlink_to("/dev/full")
        raise StorageFailed("The disk is full.")

    with closing(Jobs(tmp_path, {"import": work})) as jobs:
        folder = jobs.prepare()
        (folder / "archive.zip").write_bytes(b"as large as a shop")
        job = jobs.start("import", folder)
        assert wait(jobs, job.id).detail == "The disk is full."
    assert [path.name for path in folder.iterdir()] == ["job.json"]
    with closing(Jobs(tmp_path, {})) as jobs:
        assert jobs.get(job.id).state == "failed"


class Refused:
    """Work whose storage refuses its second item, twice, the second time to record it."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    def __call__(self, job: Job, folder: Path, save) -> None:
        job.total = 3
        in_the_way = folder / "job.partial"
        in_the_way.unlink(missing_ok=True)
        while job.done < 3:
            self.taken.append(job.done)
            job.added += 1
            if len(self.taken) == 2:
                raise StorageFailed("database is locked")
            if len(self.taken) == 3:
                in_the_way.symlink_to("/dev/full")
            job.done += 1
            save()


def test_what_storage_refuses_for_a_while_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.SECONDS_BETWEEN_TRIES", 0)
    work = Refused()
    with closing(Jobs(tmp_path, {"import": work})) as jobs:
        job = wait(jobs, jobs.start("import").id)
    assert (job.state, job.done, job.added, job.detail) == ("done", 3, 3, None)
    assert work.taken == [0, 1, 1, 1, 2]


@pytest.mark.parametrize("ends", ["stopped", "cancelled"])
def test_a_job_that_waits_for_storage_ends_at_once(tmp_path: Path, ends: str) -> None:
    with closing(Jobs(tmp_path, {"import": Refused()})) as jobs:
        folder = jobs.prepare()
        (folder / "archive.zip").write_bytes(b"as large as a shop")
        job = jobs.start("import", folder)
        for _ in range(1000):
            if "database is locked" in str(jobs.get(job.id).detail):
                break
            Event().wait(0.01)
        assert (jobs.get(job.id).state, jobs.get(job.id).added) == ("running", 1)
        if ends == "cancelled":
            jobs.cancel(job.id)
            assert wait(jobs, job.id).state == "cancelled"
    if ends == "stopped":
        assert (folder / "archive.zip").exists()
        with closing(Jobs(tmp_path, {"import": counting(3, [])})) as jobs:
            done = wait(jobs, job.id)
            assert (done.state, done.done, done.detail) == ("done", 3, None)


def test_a_clock_that_was_set_back_makes_no_job_forgotten(tmp_path: Path) -> None:
    for number in range(KEPT_JOBS):
        at = datetime(2099, 1, 1, 0, number // 60, number % 60, tzinfo=UTC)
        old = Job(id=f"old-{number}", kind="rebuild", state="done", created_at=at, finished_at=at)
        (tmp_path / old.id).mkdir()
        (tmp_path / old.id / "job.json").write_text(old.model_dump_json())
    with closing(Jobs(tmp_path, {"rebuild": counting(1, [])})) as jobs:
        new = jobs.start("rebuild")
        assert wait(jobs, new.id).state == "done"
        jobs.start("rebuild")
        assert jobs.get(new.id).state == "done"
        with pytest.raises(UnknownJob):
            jobs.get("old-0")


def test_a_clock_that_was_set_back_does_not_change_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Job(
        id="of an older release", kind="import", created_at=datetime(2098, 1, 1, tzinfo=UTC)
    )
    (tmp_path / first.id).mkdir()
    (tmp_path / first.id / "job.json").write_text(first.model_dump_json(exclude={"number"}))

    class Clock(datetime):
        year_now = 2099

        @classmethod
        def now(cls, tz=None):
            return datetime(cls.year_now, 1, 1, tzinfo=tz)

    monkeypatch.setattr("app.jobs.datetime", Clock)
    asked = [first.id]
    for Clock.year_now in (2099, 2097, 2098):
        with closing(Jobs(tmp_path, {"import": stopped})) as jobs:
            asked.append(jobs.start("import").id)
    begin_anew(tmp_path)
    ran: list[str] = []
    with closing(Jobs(tmp_path, {"import": lambda job, *_: ran.append(job.id)})) as jobs:
        wait(jobs, asked[-1])
        assert [job.id for job in reversed(jobs.latest())] == asked
    assert ran == asked


def test_what_a_finished_job_left_when_it_was_killed_is_removed(tmp_path: Path) -> None:
    with closing(Jobs(tmp_path, {"import": counting(1, [])})) as jobs:
        job = jobs.start("import", jobs.prepare())
        wait(jobs, job.id)
    # Killed right behind its last record.
    (tmp_path / job.id / "archive.zip").write_bytes(b"as large as a shop")
    with closing(Jobs(tmp_path, {})) as jobs:
        assert jobs.get(job.id).state == "done"
    assert [path.name for path in (tmp_path / job.id).iterdir()] == ["job.json"]


def test_of_a_job_that_is_refused_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    with closing(Jobs(tmp_path, {"rebuild": counting(1, taken)})) as jobs:
        with monkeypatch.context() as patched:
            patched.setattr("app.jobs.flush", refuse)
            with pytest.raises(OSError, match="Too many open files"):
                jobs.start("rebuild")
        assert list(tmp_path.iterdir()) == []
    Jobs(tmp_path, {"rebuild": counting(1, taken)}).close()
    assert taken == []
