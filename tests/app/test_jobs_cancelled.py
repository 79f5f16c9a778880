"""Jobs that somebody wants no further: waiting, running, or found by the next start."""

from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from app.jobs import KEPT_JOBS, Job, Jobs, StopJob
from gallery import Author, authored
from tests.app.test_jobs import counting, refuse, wait


class Held:
    """Work that comes to its second item, and waits there until it may go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = Event(), Event()

    def __call__(self, job: Job, _: Path, save) -> None:
        job.total = 3
        while job.done < 3:
            if job.done == 1:
                self.reached.set()
                assert self.go_on.wait(10)
            job.done += 1
            save()


def test_a_running_job_is_cancelled_after_the_item_at_hand(tmp_path: Path) -> None:
    held, taken = Held(), []
    with closing(Jobs(tmp_path, {"import": held, "rebuild": counting(1, taken)})) as jobs:
        folder = jobs.prepare()
        (folder / "archive.zip").write_bytes(b"as large as a shop")
        job = jobs.start("import", folder)
        behind = jobs.start("rebuild")
        assert held.reached.wait(10)
        with authored(Author("till (1a2b)", "r")):
            assert jobs.cancel(job.id).state == "running"
        held.go_on.set()
        cancelled = wait(jobs, job.id)
        assert (cancelled.state, cancelled.done) == ("cancelled", 2)
        assert cancelled.detail == "Cancelled by till (1a2b)."
        assert wait(jobs, behind.id).state == "done"
        # Once more does no harm, neither to it nor to one that is done.
        assert jobs.cancel(job.id) == jobs.get(job.id) == cancelled
        assert jobs.cancel(behind.id).state == "done"
        assert jobs.states() == {
            "queued": 0, "running": 0, "done": 1, "failed": 0, "cancelled": 1
        }  # fmt: skip
    assert [path.name for path in folder.iterdir()] == ["job.json"]
    with closing(Jobs(tmp_path, {})) as jobs:
        assert jobs.get(job.id) == cancelled


def test_a_job_that_waits_is_cancelled_at_once(tmp_path: Path) -> None:
    held, taken = Held(), []
    with closing(Jobs(tmp_path, {"import": held, "rebuild": counting(1, taken)})) as jobs:
        jobs.start("import")
        assert held.reached.wait(10)
        waiting = [jobs.start("rebuild") for _ in range(3)]
        # So many that the first are forgotten while they wait to be passed over.
        cancelled = [jobs.cancel(jobs.start("rebuild").id) for _ in range(KEPT_JOBS)]
        assert jobs.cancel(waiting[1].id).detail == "Cancelled."
        assert {job.state for job in cancelled} == {"cancelled"}
        held.go_on.set()
        assert wait(jobs, waiting[2].id).state == "done"
        assert jobs.get(waiting[1].id).state == "cancelled"
    assert taken == [0, 0]


def test_what_was_cancelled_when_the_service_was_killed_is_not_taken_up(tmp_path: Path) -> None:
    taken: list[int] = []
    reached = Event()

    def ended(*_: object) -> None:
        reached.set()
        raise StopJob

    with closing(Jobs(tmp_path, {"import": ended})) as jobs:
        job = jobs.start("import")
        assert reached.wait(10)
        # The service ends before its worker sees it.
        assert jobs.cancel(job.id).state == "running"
    with closing(Jobs(tmp_path, {"import": counting(1, taken)})) as jobs:
        assert wait(jobs, job.id).state == "cancelled"
    assert taken == []


def test_a_job_stays_as_it_is_when_its_end_can_not_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, taken = Held(), []
    with closing(Jobs(tmp_path, {"import": held, "rebuild": counting(1, taken)})) as jobs:
        running = jobs.start("import")
        assert held.reached.wait(10)
        with monkeypatch.context() as patched:
            patched.setattr("app.jobs.put_in_place", refuse)
            with pytest.raises(OSError, match="Too many open files"):
                jobs.cancel(running.id)
        held.go_on.set()
        assert wait(jobs, running.id).state == "done"
