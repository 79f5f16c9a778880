"""`/verify`: is this the product whose code was scanned?"""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from app.http.admission import ENTER, TurnDep
from app.http.answers import milliseconds_since, product_ref, timing_of, written
from app.http.calibration import FilterDep, Rate, calibration_of
from app.http.current import current_request
from app.http.metrics import MetricsDep
from app.http.problems import RequestProblem, responses
from app.http.schemas import (
    Box,
    CandidateItem,
    Document,
    ImageSize,
    ProductId,
    ProductRef,
    Revision,
    Score,
    Timing,
)
from app.http.state import ServiceDep
from app.http.uploads import OneImage, request_body
from app.images import open_photograph
from app.recognizer import BoxSource, scenes_among
from app.references import References, references_of
from app.verification import Limits, Verdict, claimed, limits, usual_limits
from models.detector import crop

router = APIRouter(
    tags=["recognition"],
    responses=responses(400, 404, 409, 413, 415, 422),
    dependencies=[ENTER],
)

_RATE = 0.05


class VerifyAnswer(Document):
    """What one photograph says to one product."""

    request_id: str
    image: ImageSize
    product: ProductRef
    outcome: Verdict = Field(
        description="`match`: it is this product. `no_match`: it is another one. `uncertain`: "
        "look, or take another photograph; also where the product has no references.",
        examples=["match"],
    )
    score: Score | None = Field(
        None,
        description="Cosine of the best region to the best reference, as references lean towards "
        "each other; null without any.",
        examples=[0.7412],
    )
    threshold: Score | None = Field(
        None,
        description="Score from which it is this product. Each product has its own.",
        examples=[0.4873],
    )
    no_match_threshold: Score | None = Field(
        None,
        description="Score below which it is another one; null where the gallery is too small to "
        "tell.",
        examples=[0.3912],
    )
    probability: Score | None = Field(
        None,
        description="That it is this product, where as many claims are wrong as right; null with a "
        "`threshold` of the request, or where the gallery is too small to tell.",
        examples=[0.9934],
    )
    margin: Score | None = Field(
        None,
        description="Of the score over the best other product's; null when there is none.",
        examples=[0.2201],
    )
    image_id: str | None = Field(None, description="The reference image that matched best.")
    rival: CandidateItem | None = Field(None, description="The best other product of that region.")
    box: Box | None = Field(None, description="The region that matched best.")
    box_source: BoxSource | None = None
    gallery_revision: Revision
    timing_ms: Timing
    model: str = Field(examples=["embedded-1.0.0+0a1b2c3d4e5f"])


Judge = Callable[[str, References], Limits | None]


async def judge(
    service: ServiceDep,
    where: FilterDep,
    threshold: Annotated[
        float | None,
        Query(
            ge=-1,
            le=1,
            allow_inf_nan=False,
            description="Instead of a rate: score from which it is this product, below which it "
            "is another one.",
        ),
    ] = None,
    false_accept_rate: Annotated[
        Rate | None,
        Query(
            description="Share of photographs of other products that may be taken for this one; "
            f"{_RATE:.2f} by default. From the gallery's own references (`/gallery/calibration`), "
            "or, where there are too few, from what is known of the pack."
        ),
    ] = None,
) -> Judge:
    """How a product's score is judged, by its id and references."""
    if threshold is not None and false_accept_rate is not None:
        raise RequestProblem(
            422, "invalid-request", "Give `threshold` or `false_accept_rate`, not both."
        )
    if threshold is not None:
        given = Limits(threshold, threshold, None)
        return lambda *_: given
    rate = _RATE if false_accept_rate is None else false_accept_rate
    found = await calibration_of(service, where)
    if found is None:
        usual = usual_limits(service.pack.embedder.threshold, rate)
        return lambda *_: usual
    return lambda product_id, references: limits(found, product_id, references, rate)


@router.post(
    "/verify",
    summary="Is this the product whose code was scanned?",
    response_model=VerifyAnswer,
    openapi_extra=request_body(),
)
def verify(
    upload: OneImage,
    where: FilterDep,
    product_id: Annotated[ProductId, Query()],
    judge: Annotated[Judge, Depends(judge)],
    turn: TurnDep,
    service: ServiceDep,
    metrics: MetricsDep,
    detect: Annotated[
        bool, Query(description="Look for bodies; the whole image is always one.")
    ] = True,
) -> Response:
    """One photograph against one product, whose references tell what its score means.

    The region that matches this product best counts: others may lie beside it. `where` keeps
    products that are not sold now from being its rivals.
    """
    start = perf_counter()
    product = service.gallery.get_product(product_id)
    photograph = open_photograph(upload.data, service.settings.image_limits, service.reading_side)
    decode_ms = milliseconds_since(start)
    turn.proceed()
    regions, detect_times = service.recognizer.regions(photograph, detect=detect)
    turn.proceed()
    vectors, embed_times = service.embedder.embed([crop(photograph, r.box) for r in regions])
    start = perf_counter()
    references = references_of(service.gallery, product_id)
    claim = claimed(service.gallery, product_id, references, vectors, scenes_among(regions), where)
    found = None if claim is None else judge(product_id, references)
    timing = timing_of(
        turn,
        decode=decode_ms,
        detect=detect_times,
        embed=embed_times,
        search=milliseconds_since(start),
    )
    metrics.observe_stages("/verify", timing)
    common: dict[str, Any] = {
        "request_id": current_request().id,
        "image": ImageSize(width=photograph.width, height=photograph.height),
        "product": product_ref(product),
        "gallery_revision": service.gallery.stats().revision,
        "timing_ms": timing,
        "model": service.model,
    }
    if claim is None or found is None:
        return written(VerifyAnswer(outcome="uncertain", **common))
    region = regions[claim.region]
    return written(
        VerifyAnswer(
            outcome=claim.verdict(found, service.pack.embedder.ambiguous_margin),
            score=claim.score,
            threshold=found.match,
            no_match_threshold=found.no_match,
            probability=claim.probability(found),
            margin=claim.margin,
            image_id=claim.image_id,
            rival=claim.rival,
            box=region.box,
            box_source=region.source,
            **common,
        )
    )
