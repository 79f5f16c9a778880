"""`/explain`: why a photograph was answered as it was, as JSON and as a picture."""

import io
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field

from app.comparison import Row, Shown, draw_comparison
from app.explanation import Match, Matches, explain
from app.http.admission import ENTER
from app.http.answers import written
from app.http.calibration import Chosen, calibration_answer
from app.http.metrics import Metrics, MetricsDep
from app.http.problems import responses
from app.http.questions import Answered, Question, QuestionDep
from app.http.recognition import recognized
from app.http.schemas import (
    CalibrationAnswer,
    Document,
    RecognitionItem,
    RecognizeAnswer,
    Score,
)
from app.http.uploads import request_body
from app.recognizer import Outcome
from app.service import Service
from gallery import UnknownImage

router = APIRouter(
    prefix="/explain",
    tags=["recognition"],
    responses=responses(400, 409, 413, 415, 422),
    dependencies=[ENTER],
)

# More bodies, or more of each, would be too small to see.
_ROWS, _REFERENCES, _SHOWN = 5, 3, 2
_QUALITY = 88

Origin = Literal["pack", "request", "calibration"]


class ReferenceItem(Document):
    """A reference image and its score for that body; its picture: `/gallery/images/…/thumbnail`."""

    product_id: str = Field(examples=["4006381333931"])
    image_id: str
    score: Score = Field(examples=[0.8312])


class MatchesItem(Document):
    """How the references of a result's best two products match that body."""

    best: list[ReferenceItem] = Field(description="Of the best product, best first.")
    runner_up: list[ReferenceItem] = Field(description="Of the next product, best first.")


class ExplainedAnswer(Document):
    """A recognition, and what it was decided by."""

    recognition: RecognizeAnswer = Field(description="What `/recognize` answers.")
    matches: list[MatchesItem] = Field(description="Of each of its results, in their order.")
    threshold: Score = Field(description="Score from which a product is named.", examples=[0.672])
    threshold_from: Origin = Field(
        description="`pack`: its own for so many products, at the rate given if there is one. "
        "`request`: as given. `calibration`: the gallery's, by the rate given."
    )
    ambiguous_margin: Score = Field(
        description="A smaller margin makes it ambiguous.", examples=[0.02]
    )
    calibration: CalibrationAnswer | None = Field(
        description="For the false-accept rate that was asked for; null without."
    )


@router.post(
    "",
    summary="Why a photograph is recognised as it is",
    response_model=ExplainedAnswer,
    openapi_extra=request_body(),
)
def explain_photograph(question: QuestionDep, metrics: MetricsDep) -> Response:
    """What `/recognize` answers, with the references that matched and what decided."""
    found, matches = _explained(question, metrics)
    chosen, embedder = question.chosen, question.service.pack.embedder
    calibration = None
    if chosen.calibration is not None and chosen.false_accept_rate is not None:
        calibration = calibration_answer(
            chosen.calibration, chosen.false_accept_rate, question.service.model
        )
    return written(
        ExplainedAnswer(
            recognition=recognized(found, question.service),
            matches=matches,
            threshold=found.threshold,
            threshold_from=_origin(chosen),
            ambiguous_margin=embedder.ambiguous_margin,
            calibration=calibration,
        )
    )


@router.post(
    "/picture",
    summary="The photograph beside the references that it matched",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
    openapi_extra=request_body(),
)
def explain_by_picture(question: QuestionDep, metrics: MetricsDep) -> Response:
    """A JPEG to look at: each body, its best references and the next product, with scores."""
    found, matches = _explained(question, metrics)
    service = question.service
    rows = [
        _row(item, several, service)
        for item, several in list(zip(recognized(found, service).results, matches, strict=True))[
            :_ROWS
        ]
    ]
    footer = (
        f"named from {found.threshold:.3f} on · ambiguous below a margin of "
        f"{service.pack.embedder.ambiguous_margin:.3f} · gallery revision "
        f"{found.gallery_revision} · {service.model}"
    )
    buffer = io.BytesIO()
    draw_comparison(found.photograph.pixels, rows, footer).save(buffer, "JPEG", quality=_QUALITY)
    return Response(buffer.getvalue(), media_type="image/jpeg")


def _explained(question: Question, metrics: Metrics) -> tuple[Answered, list[Matches]]:
    found = question.answer()
    metrics.observe_stages("/explain", found.timing)
    question.turn.proceed()
    service = question.service
    matches = explain(
        found.photograph, found.results, service.embedder, service.gallery, _REFERENCES
    )
    return found, matches


def _origin(chosen: Chosen) -> Origin:
    if chosen.calibration is not None:
        return "calibration"
    return "pack" if chosen.threshold is None else "request"


def _row(item: RecognitionItem, matches: Matches, service: Service) -> Row:
    names = [candidate.name for candidate in item.candidates]
    lines = [] if item.score is None else [f"score {item.score:.3f}"]
    if item.margin is not None:
        lines.append(f"margin {item.margin:.3f}")
    if item.probability is not None:
        lines.append(f"{item.probability:.0%} likely right")
    references = [_shown(match, names[0], service) for match in matches.best[:_SHOWN]]
    runners_up = [_shown(match, names[1], service) for match in matches.runner_up[:1]]
    box = item.box
    return Row(
        box=(box.x1, box.y1, box.x2, box.y2),
        outcome=item.outcome,
        title=_title(item.outcome, names),
        lines=lines,
        references=[shown for shown in references if shown],
        runner_up=next((shown for shown in runners_up if shown), None),
    )


def _title(outcome: Outcome, names: list[str]) -> str:
    if not names:
        return "unknown"
    if outcome == "ambiguous":
        return f"ambiguous: {' or '.join(names[:2])}"
    return f"match: {names[0]}" if outcome == "match" else f"unknown, nearest: {names[0]}"


def _shown(match: Match, name: str, service: Service) -> Shown | None:
    try:
        thumbnail = service.gallery.get_thumbnail(match.image_id)
    except UnknownImage:
        # Deleted meanwhile.
        return None
    return Shown(thumbnail, [name, f"score {match.score:.3f}"])
