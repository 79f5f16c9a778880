"""A photograph that is to be recognised, as several routes ask for it."""

from dataclasses import dataclass
from time import perf_counter
from typing import Annotated

from fastapi import Depends, Query

from app.calibration.calibration import Calibration
from app.http.admission import Turn, TurnDep
from app.http.answers import milliseconds_since, timing_of
from app.http.calibration import Chosen, ChosenDep, FilterDep
from app.http.current import current_request
from app.http.schemas import Revision, Timing
from app.http.state import ServiceDep
from app.http.uploads import OneImage, Upload
from app.images import open_photograph
from app.recognizer import Recognition
from app.service import Service
from gallery import Filter
from models.preprocess import Pyramid


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What is in the photograph, and the calibration that is at hand."""

    photograph: Pyramid
    results: list[Recognition]
    may_show_more: bool
    threshold: float
    gallery_revision: Revision
    calibration: Calibration | None
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A photograph, what is known of it, and what its answers are judged by."""

    upload: Upload
    where: Filter | None
    chosen: Chosen
    turn: Turn
    service: Service
    detect: bool
    max_results: int | None
    top_k: int

    def answer(self) -> Answered:
        """Recognise it, on the thread that asks; it is kept for feedback."""
        start = perf_counter()
        service = self.service
        photograph = open_photograph(
            self.upload.data, service.settings.image_limits, service.reading_side
        )
        decode_ms = milliseconds_since(start)
        found = service.recognizer.recognize(
            photograph,
            detect=self.detect,
            max_results=self.max_results,
            top_k=self.top_k,
            threshold=self.chosen.threshold,
            false_accept_rate=self.chosen.false_accept_rate,
            where=self.where,
            proceed=self.turn.proceed,
        )
        service.photographs.keep(current_request().id, self.upload.data, found.results)
        timing = timing_of(
            self.turn,
            decode=decode_ms,
            detect=found.detect_times,
            embed=found.embed_times,
            search=found.search_ms,
            rerank=found.rerank_ms,
        )
        calibration = self.chosen.calibration or service.calibrator.at_hand(self.where)
        most = self.max_results or service.pack.detector.max_results
        return Answered(
            photograph,
            found.results,
            found.bodies >= most,
            found.threshold,
            found.revision,
            calibration,
            timing,
        )


async def question(
    upload: OneImage,
    where: FilterDep,
    chosen: ChosenDep,
    turn: TurnDep,
    service: ServiceDep,
    detect: Annotated[
        bool, Query(description="Look for bodies; the whole image is always one.")
    ] = True,
    max_results: Annotated[
        int | None,
        Query(ge=1, le=20, description="Most bodies; the pack's number by default, often 5."),
    ] = None,
    top_k: Annotated[int, Query(ge=1, le=50, description="Most candidates per result.")] = 5,
) -> Question:
    """The photograph that a request brings."""
    return Question(upload, where, chosen, turn, service, detect, max_results, top_k)


QuestionDep = Annotated[Question, Depends(question)]
