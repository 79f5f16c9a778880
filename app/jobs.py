"""Work that outlasts a request: queued, done one after another, taken up again after a restart."""

import logging
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import Literal, get_args
from uuid import uuid4

from pydantic import BaseModel, Field

Kind = Literal["import", "rebuild"]
State = Literal["queued", "running", "done", "failed"]

KEPT_JOBS = 100
MOST_ERRORS = 1000
SAVE_SECONDS = 1.0
RECORD = "job.json"
logger = logging.getLogger(__name__)


class UnknownJob(Exception):
    """There is no job with this id."""


class ItemError(BaseModel):
    """Why one item of a job was left out."""

    item: str
    code: str
    detail: str


class Job(BaseModel):
    """A job and how far it is: `done` of `total` items, and those that failed."""

    id: str
    kind: Kind
    state: State = "queued"
    dry_run: bool = False
    done: int = 0
    total: int = 0
    added: int = Field(0, description="Images that are new in the gallery.")
    duplicates: int = Field(0, description="Images that their product already had.")
    embedded_again: int = Field(
        0, description="Images of an export by another embedder: embedded from their thumbnails."
    )
    failed: int = 0
    errors: list[ItemError] = Field([], description=f"The first {MOST_ERRORS} of the failed.")
    detail: str | None = Field(None, description="Why the job as a whole failed.")
    created_at: datetime
    finished_at: datetime | None = None

    def fail_item(self, item: str, code: str, detail: str) -> None:
        self.failed += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(ItemError(item=item[:300], code=code, detail=detail))


class StopJob(Exception):
    """The service is stopping: the job goes on when it is back."""


# Does the work in the job's folder; calls `save` after each item, which may raise StopJob.
Work = Callable[[Job, Path, Callable[[], None]], None]


class Jobs:
    """The jobs of one data folder, each a folder with a record of how far it came."""

    def __init__(self, folder: Path, work: dict[Kind, Work]) -> None:
        """Take up what an earlier run left unfinished, in its order."""
        self._folder = folder
        self._work = work
        self._lock = Lock()
        self._stopping = Event()
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        folder.mkdir(parents=True, exist_ok=True)
        self._jobs = {job.id: job for job in _read_jobs(folder)}
        for job in self._jobs.values():
            if job.state in ("queued", "running"):
                self._waiting.put(job.id)
        self._thread = Thread(target=self._run, name="jobs")
        self._thread.start()

    def prepare(self) -> Path:
        """A new folder for a job's input, until `start` makes it a job or `discard` removes it."""
        folder = self._folder / uuid4().hex
        folder.mkdir()
        return folder

    def discard(self, folder: Path) -> None:
        """Remove a folder that was prepared, unless it has become a job's."""
        with self._lock:
            if folder.name not in self._jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def start(self, kind: Kind, folder: Path | None = None, *, dry_run: bool = False) -> Job:
        """Queue a job; it is on the disk when this returns."""
        folder = folder or self.prepare()
        job = Job(id=folder.name, kind=kind, dry_run=dry_run, created_at=datetime.now(UTC))
        self._save(job)
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
            if job_id not in self._jobs:
                raise UnknownJob(
                    f"There is no job {job_id[:80]!r}; the last {KEPT_JOBS} are remembered."
                )
            return self._jobs[job_id].model_copy(deep=True)

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

    def _run(self) -> None:
        while (job_id := self._waiting.get()) is not None and not self._stopping.is_set():
            job = self._jobs[job_id]
            job.state = "running"
            try:
                self._work[job.kind](job, self._folder / job_id, self._saver(job))
                job.state = "done"
            except StopJob:
                self._save(job)
                return
            except Exception as error:
                # A thread's exception would go nowhere: the job tells it instead.
                logger.exception("Job %s (%s) failed.", job_id, job.kind)
                job.state, job.detail = "failed", str(error)
            job.finished_at = datetime.now(UTC)
            self._save(job)
            for path in (self._folder / job_id).iterdir():
                if path.name != RECORD:
                    path.unlink()

    def _saver(self, job: Job) -> Callable[[], None]:
        saved = monotonic()

        def save() -> None:
            nonlocal saved
            if self._stopping.is_set():
                raise StopJob
            if monotonic() - saved > SAVE_SECONDS:
                self._save(job)
                saved = monotonic()

        return save

    def _save(self, job: Job) -> None:
        path = self._folder / job.id / RECORD
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.write(job.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def _forget_old(self) -> None:
        finished = [job for job in self._jobs.values() if job.finished_at]
        finished.sort(key=lambda job: job.created_at)
        for job in finished[:-KEPT_JOBS]:
            del self._jobs[job.id]
            shutil.rmtree(self._folder / job.id, ignore_errors=True)


def _read_jobs(folder: Path) -> list[Job]:
    jobs = []
    for path in folder.iterdir():
        try:
            jobs.append(Job.model_validate_json((path / RECORD).read_bytes()))
        except (OSError, ValueError):
            # An upload that never became a job, because the service was killed meanwhile.
            shutil.rmtree(path, ignore_errors=True)
    return sorted(jobs, key=lambda job: job.created_at)
