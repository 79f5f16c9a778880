"""`/gallery/calibration`, and the threshold that photographs are asked to be judged by."""

from asyncio import shield, timeout, wrap_future
from dataclasses import dataclass
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from app.calibration.calibration import Calibration
from app.calibration.impostors import GalleryTooSmall
from app.filters import read_filter
from app.http.admission import overdue
from app.http.problems import RequestProblem, responses
from app.http.schemas import CalibrationAnswer
from app.http.state import ServiceDep
from app.service import Service
from gallery import Filter
from models.thresholds import COARSEST_RATE, FINEST_RATE

router = APIRouter(prefix="/gallery", tags=["gallery"], responses=responses(409, 422))

# Finer ones would take tens of thousands of references.
Rate = Annotated[float, Field(ge=FINEST_RATE, le=COARSEST_RATE, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What a request is judged by: a threshold, and what it is from.

    None: the pack's for this rate, if there is one, in a gallery of this size.
    """

    threshold: float | None
    calibration: Calibration | None = None
    false_accept_rate: float | None = None


async def chosen_filter(
    where: Annotated[
        str | None,
        Query(
            max_length=4096,
            description="Only products with such metadata, as JSON: equality, `in`, `and`, `not`; "
            "at most 16 different keys.",
            examples=['{"store": "north", "department": {"in": ["drinks", "dairy"]}}'],
        ),
    ] = None,
) -> Filter | None:
    """The filter that is asked for."""
    return None if where is None else read_filter(where)


FilterDep = Annotated[Filter | None, Depends(chosen_filter)]


@router.get("/calibration", summary="Threshold for a false-accept rate")
async def get_calibration(
    service: ServiceDep,
    where: FilterDep,
    false_accept_rate: Annotated[
        Rate, Query(description="Share of photographs of unknown products that may be named.")
    ] = 0.05,
) -> CalibrationAnswer:
    """From the gallery's own references, each asked as if it were a customer's photograph.

    Worked out again when the gallery has changed. With `where`, for searches with this filter:
    so each category has its own.
    """
    found = await wrap_future(await to_thread.run_sync(service.calibrator.fitted, where))
    return await to_thread.run_sync(calibration_answer, found, false_accept_rate, service.model)


async def chosen(
    service: ServiceDep,
    where: FilterDep,
    threshold: Annotated[
        float | None,
        Query(
            ge=-1,
            le=1,
            allow_inf_nan=False,
            description="Inner product from which a product is named; by default the pack's for as "
            "many products as are searched.",
        ),
    ] = None,
    false_accept_rate: Annotated[
        Rate | None,
        Query(
            description="Instead of a threshold: share of photographs of unknown products that may "
            "be named. The gallery's own references tell the threshold (`/gallery/calibration`), "
            "or, where there are too few, what is known of the pack; just after a change it still "
            "is the one of before."
        ),
    ] = None,
) -> Chosen:
    """What a photograph is judged by."""
    usual = service.settings.false_accept_rate
    if false_accept_rate is None and threshold is None and usual:
        return await to_thread.run_sync(_usual, service, where, usual)
    if false_accept_rate is None:
        return Chosen(threshold)
    if threshold is not None:
        raise RequestProblem(
            422, "invalid-request", "Give `threshold` or `false_accept_rate`, not both."
        )
    found = await calibration_of(service, where)
    if found is None:
        return Chosen(None, None, false_accept_rate)
    limit = await to_thread.run_sync(found.threshold, false_accept_rate)
    return Chosen(limit, found, false_accept_rate)


def _usual(service: Service, where: Filter | None, rate: float) -> Chosen:
    """By the rate that the operator has set; by the gallery, as soon as it can tell."""
    found = service.calibrator.soon(where)
    try:
        return Chosen(None if found is None else found.threshold(rate), found, rate)
    except GalleryTooSmall:  # to tell so small a rate
        return Chosen(None, None, rate)


async def calibration_of(service: Service, where: Filter | None) -> Calibration | None:
    """The newest calibration for searches with a filter; the first one is waited for.

    None where the gallery is too small for one and what is known of the pack tells thresholds.

    Raises:
        GalleryTooSmall: it is, and the pack tells none.
        RequestProblem: the first one takes longer than a request may. It goes on behind.
    """
    found = await to_thread.run_sync(service.calibrator.at_hand, where)
    if found is not None:
        return found
    fitted = await to_thread.run_sync(service.calibrator.fitted, where)
    patience = service.settings.deadline_seconds
    try:
        # Waits on no thread and at no network, so that nobody else waits for it.
        async with timeout(patience):
            return await shield(wrap_future(fitted))
    except TimeoutError:
        raise overdue(patience) from None
    except GalleryTooSmall:
        if not service.pack.embedder.match_growth:
            raise
        return None


# For a parameter before the turn's: a place at the networks is not kept while it waits.
ChosenDep = Annotated[Chosen, Depends(chosen)]


def calibration_answer(found: Calibration, rate: float, model: str) -> CalibrationAnswer:
    """What `/gallery/calibration` answers."""
    threshold = found.threshold(rate)
    return CalibrationAnswer(
        threshold=threshold,
        expected_false_accept_rate=found.expected_rate(rate),
        expected_miss_rate=found.miss_rate(threshold),
        interval=found.interval(rate),
        genuine=found.genuine_count,
        impostors=len(found.impostors),
        products=found.product_count,
        gallery_revision=found.revision,
        model=model,
    )
