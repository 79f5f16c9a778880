"""`/gallery/audit`: what is wrong with the gallery."""

from asyncio import wait, wrap_future

from anyio import to_thread
from fastapi import APIRouter, Response
from pydantic import Field

from app.audit.audit import Audit
from app.http.schemas import Document
from app.http.state import ServiceDep

router = APIRouter(prefix="/gallery", tags=["gallery"])

# A small gallery is answered at once, a large one when it is asked for again.
_PATIENCE_SECONDS = 5


class AuditProgress(Document):
    """An audit that is under way: ask again."""

    done: int = Field(description="Steps; two for each reference.")
    total: int


@router.get(
    "/audit",
    summary="Faults of the gallery",
    responses={202: {"model": AuditProgress, "description": "Under way: ask again."}},
)
async def get_audit(service: ServiceDep, response: Response) -> Audit | AuditProgress:
    """Confusable products, duplicates, outliers, and what to photograph next.

    Every reference is compared with every other. What takes longer than some seconds goes on
    behind: 202 until it is done. The service answers meanwhile.
    """
    auditor = service.auditor
    found = wrap_future(await to_thread.run_sync(auditor.asked))
    await wait({found}, timeout=_PATIENCE_SECONDS)
    if not found.done():
        response.status_code = 202
        done, total = auditor.progress
        return AuditProgress(done=done, total=total)
    auditor.taken()
    return found.result()
