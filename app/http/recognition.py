"""`/detect`, `/embed`, `/recognize`: a photograph in, what it shows out."""

from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.calibration.calibration import Calibration
from app.http.admission import ENTER, TurnDep
from app.http.answers import milliseconds_since, product_ref, written
from app.http.current import current_request
from app.http.metrics import MetricsDep
from app.http.problems import responses
from app.http.questions import Answered, QuestionDep
from app.http.schemas import (
    Box,
    DetectAnswer,
    DetectionItem,
    EmbedAnswer,
    EmbeddingItem,
    ImageSize,
    RecognitionItem,
    RecognizeAnswer,
    Timing,
)
from app.http.state import ServiceDep
from app.http.uploads import OneImage, SeveralImages, request_body
from app.images import decode, decode_reduced
from app.recognizer import Recognition
from app.service import Service
from models.detector import Detection, crop
from models.preprocess import Pyramid

router = APIRouter(
    tags=["recognition"], responses=responses(400, 413, 415, 422), dependencies=[ENTER]
)


@router.post(
    "/detect",
    summary="Find the main bodies in a photograph",
    response_model=DetectAnswer,
    openapi_extra=request_body(),
)
def detect(
    upload: OneImage,
    turn: TurnDep,
    service: ServiceDep,
    metrics: MetricsDep,
    max_results: Annotated[int, Query(ge=1, le=100, description="Most boxes.")] = 5,
    min_score: Annotated[
        float | None,
        Query(ge=0, le=1, allow_inf_nan=False, description="Lowest score; the pack's by default."),
    ] = None,
) -> Response:
    """Class-agnostic boxes, best first."""
    start = perf_counter()
    side = 2 * max(service.pack.detector.input_size)
    image = decode_reduced(upload.data, service.settings.image_limits, side)
    decode_ms = milliseconds_since(start)
    turn.proceed()
    detections, times = service.detector.detect(
        image.pixels, max_results=max_results, min_score=min_score
    )
    height, width = image.pixels.shape[:2]
    timing = Timing(
        decode=decode_ms,
        detect_preprocess=times.preprocess,
        detect=times.forward,
        queue=turn.waited + times.queue,
        total=milliseconds_since(turn.arrived),
    )
    metrics.observe_stages("/detect", timing)
    return written(
        DetectAnswer(
            image=ImageSize(width=image.width, height=image.height),
            detections=[
                _detection(found, image.width / width, image.height / height)
                for found in detections
            ],
            timing_ms=timing,
            model=service.model,
        )
    )


@router.post(
    "/embed",
    summary="Turn images into vectors",
    response_model=EmbedAnswer,
    openapi_extra=request_body(several=True),
)
def embed(
    uploads: SeveralImages,
    turn: TurnDep,
    service: ServiceDep,
    detect: Annotated[
        bool, Query(description="Embed each detected body (the whole image where there is none).")
    ] = False,
) -> Response:
    """The unit-length vectors of one or several images, or of the bodies in them."""
    embeddings: list[EmbeddingItem] = []
    for index, upload in enumerate(uploads):
        image = decode(upload.data, service.settings.image_limits)
        photograph = Pyramid(image)
        turn.proceed()
        regions, _ = service.recognizer.regions(photograph, detect=detect)
        # The whole image comes last; beside detected bodies it is not asked for.
        boxes = [region.box for region in regions[:-1]] or [regions[-1].box]
        vectors, _ = service.embedder.embed([crop(photograph, box) for box in boxes])
        embeddings += [
            EmbeddingItem(image_index=index, vector=vector.tolist(), box=box)
            for box, vector in zip(boxes, vectors, strict=True)
        ]
    return written(
        EmbedAnswer(
            embeddings=embeddings, dimension=service.embedder.dimension, model=service.model
        )
    )


@router.post(
    "/recognize",
    summary="Name the products in a photograph",
    response_model=RecognizeAnswer,
    openapi_extra=request_body(),
    responses=responses(409),
)
def recognize(question: QuestionDep, metrics: MetricsDep) -> Response:
    """One result for each body, best first; the whole photograph is always one more candidate."""
    found = question.answer()
    document = recognized(found, question.service)
    metrics.observe_stages("/recognize", found.timing)
    metrics.count_outcomes(item.outcome for item in document.results)
    return written(document)


def recognized(found: Answered, service: Service) -> RecognizeAnswer:
    """What `/recognize` answers."""
    photograph = found.photograph
    return RecognizeAnswer(
        request_id=current_request().id,
        image=ImageSize(width=photograph.width, height=photograph.height),
        results=[_recognition(result, found.calibration) for result in found.results],
        may_show_more=found.may_show_more,
        threshold=found.threshold,
        gallery_revision=found.gallery_revision,
        timing_ms=found.timing,
        model=service.model,
    )


def _recognition(result: Recognition, calibration: Calibration | None) -> RecognitionItem:
    best = result.product
    probability = (
        None
        if calibration is None or result.score is None or result.margin is None
        else calibration.reliability.probability(result.score, result.margin)
    )
    return RecognitionItem(
        box=result.box,
        box_source=result.box_source,
        detection_score=result.detection_score,
        outcome=result.outcome,
        product=None if best is None else product_ref(best),
        score=result.score,
        margin=result.margin,
        probability=probability,
        candidates=result.candidates,
    )


def _detection(found: Detection, across: float, down: float) -> DetectionItem:
    box = found.box
    enlarged = Box(x1=box.x1 * across, y1=box.y1 * down, x2=box.x2 * across, y2=box.y2 * down)
    return DetectionItem(box=enlarged, score=found.score)
