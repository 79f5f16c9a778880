"""`/feedback`: what people say of results, and the queue in which it is reviewed."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from app.feedback.feedback import MOST_WAITING, Entry, Kind, State, Verdict
from app.http.admission import ENTER, TurnDep
from app.http.changes import CHANGE
from app.http.problems import responses
from app.http.schemas import Box, Document, EffectAnswer, ProductId, Score
from app.http.state import ServiceDep
from app.recognizer import BoxSource, Outcome

router = APIRouter(prefix="/feedback", tags=["feedback"], responses=responses(404, 422))

Number = Annotated[int, Path(ge=1, lt=2**62, description="Of the feedback.")]


class FeedbackBody(Document):
    """What `POST /feedback` takes."""

    request_id: str = Field(max_length=200, description="Of the answer of /recognize.")
    result: int = Field(0, ge=0, le=10_000, description="Which of its results, from 0.")
    product_id: ProductId | None = Field(description="What it is; null: none of the products.")


class ApprovalBody(Document):
    """What `POST /feedback/{number}/approve` takes."""

    kind: Kind | None = Field(
        None,
        description="`reference` of a product, or `negative`: never to be taken for any. By "
        "default a reference where a product was named.",
    )
    product_id: ProductId | None = Field(
        None, description="Whose reference; the product that was named by default."
    )
    force: bool = Field(False, description="Also where leave-one-out recall would fall.")


class SeenItem(Document):
    """What was answered; `product_id` is null when it was unknown."""

    box: Box
    box_source: BoxSource
    outcome: Outcome
    product_id: str | None
    score: Score | None


class FeedbackItem(Document):
    """Feedback on one result."""

    id: int
    request_id: str
    result: int
    created_at: datetime
    seen: SeenItem
    product_id: str | None = Field(description="What it is; null: none of the products.")
    verdict: Verdict = Field(
        description="On the answer: `right`; `wrong`: another product; `missed`: a product where "
        "none was named; `none`: no product where one was named."
    )
    state: State
    kept_as: Kind | None = Field(description="What it was approved as.")
    image_id: str | None = Field(
        description="The reference it became; null also where the product had the same picture."
    )
    decided_at: datetime | None
    undoable: bool = Field(description="Its picture is still kept.")


class FeedbackDetail(FeedbackItem):
    history: list[Entry] = Field(description="The audit trail, oldest first.")


class ApprovedAnswer(FeedbackItem):
    effect: EffectAnswer


class FeedbackCounts(Document):
    waiting: int = Field(description=f"At most {MOST_WAITING}.")
    approved: int
    rejected: int


class FeedbackPage(Document):
    items: list[FeedbackItem]
    counts: FeedbackCounts


@router.post(
    "",
    summary="Say what a result really shows",
    status_code=201,
    responses=responses(409),
    dependencies=[ENTER],
)
def say(body: FeedbackBody, service: ServiceDep, turn: TurnDep, response: Response) -> FeedbackItem:
    """For review, by the picture of that body. Said again before the review, it is corrected: 200.

    The photograph of the request has to be kept still: TILLSIGHT_KEEP_PHOTOGRAPHS.
    """
    item, new = service.review.say(
        body.request_id,
        body.result,
        body.product_id,
        proceed=turn.proceed,
    )
    if not new:
        response.status_code = 200
    return FeedbackItem.model_validate(item)


@router.get("", summary="The review queue, and what was decided")
def list_feedback(
    service: ServiceDep,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    verdict: Annotated[Verdict | None, Query(description="Only with this verdict.")] = None,
    before: Annotated[
        int | None, Query(ge=1, lt=2**62, description="Only older ones: the last id of a page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most items.")] = 100,
) -> FeedbackPage:
    """The newest first."""
    items = service.feedback.page(state, verdict, before, limit)
    return FeedbackPage(items=items, counts=service.feedback.counts())


@router.get("/{number}", summary="Feedback and its audit trail")
def get_feedback(number: Number, service: ServiceDep) -> FeedbackDetail:
    """Who said, approved, held back, rejected and undid what, and when."""
    item = FeedbackItem.model_validate(service.feedback.get(number))
    return FeedbackDetail(**item.model_dump(), history=service.feedback.trail(number))


@router.get(
    "/{number}/image",
    summary="The body as a JPEG",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def get_feedback_image(number: Number, service: ServiceDep) -> Response:
    """What was cut out of the photograph."""
    return Response(service.feedback.picture(number), media_type="image/jpeg")


@router.post(
    "/{number}/approve",
    summary="Make it a reference or a negative",
    responses=responses(409),
    dependencies=[ENTER],
)
def approve(
    number: Number, service: ServiceDep, turn: TurnDep, body: ApprovalBody | None = None
) -> ApprovedAnswer:
    """It counts from the answer on. What would lower leave-one-out recall is held back: 409."""
    body = body or ApprovalBody()
    item, effect = service.review.approve(
        number,
        kind=body.kind,
        product_id=body.product_id,
        force=body.force,
        proceed=turn.proceed,
    )
    return ApprovedAnswer(**FeedbackItem.model_validate(item).model_dump(), effect=effect)


@router.post(
    "/{number}/reject",
    summary="Leave the gallery as it is",
    responses=responses(409),
    dependencies=[CHANGE],
)
def reject(number: Number, service: ServiceDep) -> FeedbackItem:
    """It is out of the queue."""
    return FeedbackItem.model_validate(service.review.reject(number))


@router.post(
    "/{number}/undo",
    summary="Have it wait again",
    responses=responses(409),
    dependencies=[CHANGE],
)
def undo(number: Number, service: ServiceDep) -> FeedbackItem:
    """The reference or negative that it became is taken away again."""
    return FeedbackItem.model_validate(service.review.undo(number))
