"""Work that outlasts a request: `/gallery/import`, `/gallery/rebuild`, `/jobs…`."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from app.http.admission import ENTER
from app.http.idempotency import OnceDep
from app.http.problems import RequestProblem, responses
from app.http.schemas import JobAccepted, JobsAnswer
from app.http.state import ServiceDep
from app.http.uploads import allow_archive, media_type
from app.jobs import Job
from app.service import Service
from app.transfer.archive import Archive
from app.transfer.importing import ARCHIVE
from gallery.durable import flush

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, PathParameter(min_length=1, max_length=64)]
ARCHIVE_TYPES = ("application/zip", "application/x-zip-compressed")


@router.post(
    "/gallery/import",
    summary="Import a zip of products and images",
    status_code=202,
    response_model=JobAccepted,
    responses=responses(400, 409, 413, 415, 422),
    dependencies=[ENTER],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def import_archive(
    request: Request,
    service: ServiceDep,
    once: OnceDep,
    dry_run: Annotated[
        bool, Query(description="Read and check everything, store nothing.")
    ] = False,
) -> Response:
    """A folder of images per product, named by its id, and perhaps `products.csv`; or an export.

    The table's columns are `id`, `name` and `metadata`, a JSON object that replaces all metadata;
    any other column is one key of the metadata, which an empty cell takes away. What there is no
    column for stays as it is, and so does what an empty `name` or `metadata` says nothing of: a new
    product without a name is called by its id. It is CSV in UTF-8, with commas, semicolons or tabs
    between the cells.

    The archive is looked over before the answer; its items are taken one after another by the job,
    also after a restart. The same archive may be sent again: what is there is not added twice. A
    dry run tells how many products would be created or changed, and what would be refused.
    """
    if media_type(request) not in ARCHIVE_TYPES:
        raise RequestProblem(
            415,
            "unsupported-body",
            "Send the zip file as it is: curl -H 'Content-Type: application/zip' "
            "--data-binary @shop.zip …",
        )
    allow_archive(request, service.settings.max_import_bytes)
    folder = service.jobs.prepare()
    try:
        digest = await _receive(request, folder / ARCHIVE)
        return await to_thread.run_sync(
            once, digest, lambda: (202, _start_import(service, folder, dry_run=dry_run))
        )
    finally:
        # Refused, sent before, or the client went away amid its upload.
        service.jobs.discard(folder)


@router.post(
    "/gallery/rebuild",
    summary="Build the index again",
    status_code=202,
    response_model=JobAccepted,
    responses=responses(400, 409, 422),
)
def rebuild(service: ServiceDep, once: OnceDep) -> Response:
    """From the database, while serving; nothing is lost or unavailable meanwhile."""
    return once("", lambda: (202, JobAccepted(job_id=service.jobs.start("rebuild").id)))


@router.get("/jobs", summary="Which jobs are there?")
def list_jobs(service: ServiceDep) -> JobsAnswer:
    """The unfinished and the last 100 of the finished, the newest first, without their errors."""
    return JobsAnswer(jobs=service.jobs.latest())


@router.get("/jobs/{job_id}", summary="How far is a job?", responses=responses(404, 422))
def get_job(job_id: JobId, service: ServiceDep) -> Job:
    """Its state, how many items are done, and the errors of those that were left out."""
    return service.jobs.get(job_id)


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Have a job end before its last item",
    responses=responses(404, 422),
)
def cancel_job(job_id: JobId, service: ServiceDep) -> Job:
    """What waits is `cancelled` at once, an import that runs after the items at hand.

    What it has taken by then stays in the gallery. A rebuild that runs comes to its end, and what
    is finished stays as it is: asking again does no harm.
    """
    return service.jobs.cancel(job_id)


async def _receive(request: Request, path: Path) -> str:
    """The body's digest; itself straight to the disk, because it may be larger than the memory."""
    digest = sha256()
    with path.open("wb") as file:
        async for chunk in request.stream():
            digest.update(chunk)
            await to_thread.run_sync(file.write, chunk)
    # Once the job is accepted, it is to survive.
    await to_thread.run_sync(flush, path)
    return digest.hexdigest()


def _start_import(service: Service, folder: Path, *, dry_run: bool) -> JobAccepted:
    with Archive(folder / ARCHIVE):
        pass  # looked over
    return JobAccepted(job_id=service.jobs.start("import", folder, dry_run=dry_run).id)
