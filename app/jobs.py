"""Work that outlasts a request: queued, done one after another, taken up again after a restart."""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event, RLock, Thread
from typing import Literal, get_args
from uuid import uuid4

from pydantic import BaseModel, Field

from gallery import Author, GalleryUnavailable, StorageFailed, authored, current_author
from gallery.durable import flush, put_in_place

Kind = Literal["import", "rebuild"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
ItemCode = Literal["unusable-image", "invalid-value"]

KEPT_JOBS = 100
MOST_ERRORS = 1000
# What the service doesn't live through would be taken up for ever, and the jobs behind it never.
MOST_STARTS = 3
# A full disk, a backup that holds the database, a server that is started again: an hour in all.
MOST_TRIES = 120
SECONDS_BETWEEN_TRIES = 30
RECORD = "job.json"
# Who wants a running job to end. Beside the record, which is its worker's to write.
CANCEL = "cancel"
logger = logging.getLogger(__name__)


class UnknownJob(Exception):
    """There is no job with this id."""


class ItemError(BaseModel):
    """Why one item of a job was left out."""

    item: str
    code: ItemCode
    detail: str


class JobSummary(BaseModel):
    """A job and how far it is: `done` of `total` items."""

    id: str
    kind: Kind
    number: int = Field(0, description="Jobs run in the order of their numbers.")
    state: State = "queued"
    dry_run: bool = False
    done: int = 0
    total: int = 0
    created: int = Field(0, description="Products that are new, or in a dry run would be.")
    changed: int = Field(
        0, description="Products with another name or metadata than before, or in a dry run so."
    )
    added: int = Field(0, description="Images that are new in the gallery.")
    duplicates: int = Field(0, description="Images that their product already had.")
    embedded_again: int = Field(
        0, description="Images of an export by another embedder: embedded from their thumbnails."
    )
    starts: int = Field(0, description="How often it was begun since it last came further.")
    failed: int = Field(0, description="Items that were left out.")
    detail: str | None = Field(
        None, description="Why the job ended before its last item, or what it waits for."
    )
    author: str | None = Field(None, description="The key that asked for it.")
    request_id: str | None = Field(None, description="Of the request that asked for it.")
    created_at: datetime
    finished_at: datetime | None = None


class Job(JobSummary):
    """A job, how far it is, and why items were left out."""

    errors: list[ItemError] = Field([], description=f"The first {MOST_ERRORS} of the failed.")

    def fail_item(self, item: str, code: ItemCode, detail: str) -> None:
        self.failed += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(ItemError(item=item[:300], code=code, detail=detail))


class GivenUp(Exception):
    """The job was begun often enough."""


class Cancelled(Exception):
    """Somebody wants the job no further."""


class StopJob(Exception):
    """The service is stopping: the job goes on when it is back."""


# Does the work in the job's folder; calls `save` when some is done, and lets pass what that raises:
# StopJob, Cancelled and StorageFailed.
Work = Callable[[Job, Path, Callable[[], None]], None]


class Jobs:
    """The jobs of one data folder, each a folder with a record of how far it came."""

    def __init__(self, folder: Path, work: dict[Kind, Work]) -> None:
        """Take up what an earlier run left unfinished, in its order."""
        self._folder = folder
        self._work = work
        self._lock = RLock()
        self._stopping = Event()
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        folder.mkdir(parents=True, exist_ok=True)
        self._jobs = {job.id: job for job in _read_jobs(folder)}
        self._numbers = count(1 + max((job.number for job in self._jobs.values()), default=0))
        for job in self._jobs.values():
            if job.finished_at is None:
                job.state = "queued"
                self._waiting.put(job.id)
            else:
                _remove_input(folder / job.id)
        self._thread = Thread(target=self._run, name="jobs")
        self._thread.start()

    def prepare(self) -> Path:
        """A new folder for a job's input, until `start` makes it a job or `discard` removes it."""
        folder = self._folder / uuid4().hex
        self._folder.mkdir(exist_ok=True)  # somebody may have removed it
        folder.mkdir()
        return folder

    def discard(self, folder: Path) -> None:
        """Remove a folder that was prepared, unless it has become a job's."""
        with self._lock:
            if folder.name not in self._jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def start(self, kind: Kind, folder: Path | None = None, *, dry_run: bool = False) -> Job:
        """Queue a job; it is on the disk when this returns, and nothing of it when it raises."""
        folder = folder or self.prepare()
        author = current_author()
        job = Job(
            id=folder.name,
            kind=kind,
            number=next(self._numbers),
            dry_run=dry_run,
            author=author.name,
            request_id=author.request_id,
            created_at=datetime.now(UTC),
        )
        try:
            _save(self._folder, job)
            flush(self._folder)
        except OSError:
            self.discard(folder)
            raise
        with self._lock:
            self._jobs[job.id] = job
            self._forget_old()
        self._waiting.put(job.id)
        return job

    def get(self, job_id: str) -> Job:
        """A copy of the job as it stands.

        Raises:
            UnknownJob: there is none, or it was so long ago that it is forgotten.
        """
        with self._lock:
            return self._find(job_id).model_copy(deep=True)

    def latest(self) -> list[JobSummary]:
        """The remembered jobs, the newest first."""
        with self._lock:
            return [JobSummary(**dict(job)) for job in reversed(self._jobs.values())]

    def cancel(self, job_id: str) -> Job:
        """Have a job end after the items at hand, and give a copy of it as it stands.

        One that waits has ended when this returns; of a running one it is on the disk that it is to
        end; one that is finished stays as it is. What was done is kept.

        Raises:
            UnknownJob: there is none, or it was so long ago that it is forgotten.
        """
        by = current_author().name
        detail = f"Cancelled by {by}." if by else "Cancelled."
        with self._lock:
            job = self._find(job_id)
            if job.state == "queued":
                self._end(job, "cancelled", detail)
            elif job.state == "running":
                _put(self._folder / job.id / CANCEL, detail)
            return self._find(job_id).model_copy(deep=True)

    def states(self) -> dict[State, int]:
        """How many of the remembered jobs are in each state."""
        with self._lock:
            jobs = list(self._jobs.values())
        return {state: sum(job.state == state for job in jobs) for state in get_args(State)}

    def close(self) -> None:
        """Stop after the item at hand; what is unfinished goes on at the next start."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join()

    def _find(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise UnknownJob(
                f"There is no job {job_id[:80]!r}; the last {KEPT_JOBS} are remembered."
            )
        return self._jobs[job_id]

    def _run(self) -> None:
        while (job_id := self._waiting.get()) is not None and not self._stopping.is_set():
            with self._lock:
                job = self._jobs.get(job_id)
                if job is None or job.finished_at:
                    continue  # cancelled while it waited
                job.state = "running"
            try:
                self._do(job)
            except OSError:
                # The next start takes it up again; the jobs behind it need not wait for that.
                logger.exception("Job %s could not be recorded.", job_id)

    def _do(self, job: Job) -> None:
        state: State = "done"
        detail = None
        try:
            self._begin(job)
            with authored(Author(job.author, job.request_id)):
                self._try(job)
        except StopJob:
            # The service lived through it.
            job.starts, job.detail = max(0, job.starts - 1), None
            _save(self._folder, job)
            return
        except Cancelled as cancelled:
            state, detail = "cancelled", str(cancelled)
        except Exception as error:
            # A thread's exception would go nowhere: the job tells it instead.
            logger.exception("Job %s (%s) failed.", job.id, job.kind)
            state, detail = "failed", str(error)
        self._end(job, state, detail)

    def _try(self, job: Job) -> None:
        """Do its work; when storage refuses, wait and go on from its record."""
        for tries in count(1):
            try:
                self._work[job.kind](job, self._folder / job.id, partial(self._keep, job, job.done))
            except (StorageFailed, GalleryUnavailable) as error:
                if tries == MOST_TRIES:
                    raise
                logger.warning("Job %s waits: %s", job.id, error)
                self._take_back(job)
                job.detail = f"It waits and tries again: {error}"
                self._rest(job)
                job.detail = None
            else:
                return

    def _take_back(self, job: Job) -> None:
        """What was counted since its record will be counted again."""
        recorded = Job.model_validate_json((self._folder / job.id / RECORD).read_bytes())
        for name, value in recorded:
            if name != "state":
                setattr(job, name, value)

    def _rest(self, job: Job) -> None:
        for _ in range(SECONDS_BETWEEN_TRIES):
            if self._stopping.wait(1):
                raise StopJob
            self._check_wanted(job)

    def _end(self, job: Job, state: State, detail: str | None) -> None:
        ended = {"state": state, "detail": detail, "finished_at": datetime.now(UTC)}
        finished = job.model_copy(update=ended)
        try:
            self._record(finished)
        finally:
            # Not before it is on the disk, if it can be: what somebody does upon it, no restart
            # may undo.
            with self._lock:
                self._jobs[job.id] = finished
        _remove_input(self._folder / job.id)

    def _record(self, finished: Job) -> None:
        try:
            _save(self._folder, finished)
        except OSError:
            # What is not taken up again needs its input no more: a full disk has room where it was.
            if finished.state == "done":
                raise
            _remove_input(self._folder / finished.id)
            _save(self._folder, finished)

    def _begin(self, job: Job) -> None:
        self._check_wanted(job)
        if job.starts >= MOST_STARTS:
            raise GivenUp(
                f"It was begun {job.starts} times, and came no further than {job.done:,} items "
                "before the service ended. The log may tell why; send an import again in parts."
            )
        job.starts += 1
        with suppress(OSError):  # a full disk is told by what is done on it
            _save(self._folder, job)

    def _keep(self, job: Job, begun_at: int) -> None:
        if job.done > begun_at:
            job.starts = 0
        try:
            _save(self._folder, job)
        except OSError as error:
            raise StorageFailed(
                f"How far the job is could not be recorded ({error.strerror}). Check free space "
                "and permissions of the data folder."
            ) from error
        if self._stopping.is_set():
            raise StopJob
        self._check_wanted(job)

    def _check_wanted(self, job: Job) -> None:
        asked = self._folder / job.id / CANCEL
        if asked.exists():
            raise Cancelled(asked.read_text(encoding="utf-8"))

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.finished_at]
        for job in finished[:-KEPT_JOBS]:
            del self._jobs[job.id]
            shutil.rmtree(self._folder / job.id, ignore_errors=True)


def begin_anew(folder: Path) -> None:
    """Have unfinished jobs start at their first item, because what they did has been undone.

    For a data folder that no service has open. Raises OSError.
    """
    for job in _read_jobs(folder) if folder.is_dir() else ():
        if job.finished_at is None:
            asked = {"id", "kind", "number", "dry_run", "author", "request_id", "created_at"}
            _save(folder, Job.model_validate(job.model_dump(include=asked)))


def _remove_input(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != RECORD:
            path.unlink()


def _save(folder: Path, job: Job) -> None:
    _put(folder / job.id / RECORD, job.model_dump_json())


def _put(path: Path, text: str) -> None:
    written = path.with_suffix(".partial")
    written.write_text(text, encoding="utf-8")
    put_in_place(written, path)


def _read_jobs(folder: Path) -> list[Job]:
    jobs = []
    for path in folder.iterdir():
        try:
            jobs.append(Job.model_validate_json((path / RECORD).read_bytes()))
        except FileNotFoundError:
            # An upload that never became a job, because the service was killed meanwhile.
            shutil.rmtree(path, ignore_errors=True)
        except (OSError, ValueError):
            # It was accepted: the next start may be able to read it, or a newer release.
            logger.exception("The job in %s can't be read and is left alone.", path)
    # Not by the clock, which may be set between two. Records of older releases have no number.
    return sorted(jobs, key=lambda job: (job.number, job.created_at))
