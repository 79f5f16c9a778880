"""`/gallery/calibration`, and the threshold that `/recognize` is asked to work with."""

from asyncio import wrap_future
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from app.calibration import Calibration
from app.http.problems import RequestProblem, responses
from app.http.schemas import CalibrationAnswer
from app.http.state import ServiceDep

router = APIRouter(prefix="/gallery", tags=["gallery"], responses=responses(409, 422, 503))

# Finer ones would take tens of thousands of references.
Rate = Annotated[float, Field(ge=0.0001, le=0.5, allow_inf_nan=False)]


@router.get("/calibration", summary="Threshold for a false-accept rate")
async def get_calibration(
    service: ServiceDep,
    false_accept_rate: Annotated[
        Rate, Query(description="Share of photographs of unknown products that may be named.")
    ] = 0.05,
) -> CalibrationAnswer:
    """From the gallery's own references, each asked as if it were a customer's photograph.

    Worked out again when the gallery has changed.
    """
    found = await wrap_future(service.calibrator.fitted())
    return await to_thread.run_sync(_answer, found, false_accept_rate, service.model)


async def chosen_threshold(
    service: ServiceDep,
    threshold: Annotated[
        float | None,
        Query(
            ge=-1,
            le=1,
            allow_inf_nan=False,
            description="Inner product from which a product is named; the pack's by default.",
        ),
    ] = None,
    false_accept_rate: Annotated[
        Rate | None,
        Query(
            description="Instead of a threshold: share of photographs of unknown products that may "
            "be named. The gallery's own references tell the threshold (`/gallery/calibration`); "
            "just after a change it still is the one of before."
        ),
    ] = None,
) -> float | None:
    """The inner product from which a product is named; None for the pack's."""
    if false_accept_rate is None:
        return threshold
    if threshold is not None:
        raise RequestProblem(
            422, "invalid-request", "Give `threshold` or `false_accept_rate`, not both."
        )
    found = await to_thread.run_sync(service.calibrator.at_hand)
    if found is None:
        # Waits on no thread and at no network, so that nobody else waits for it.
        found = await wrap_future(service.calibrator.fitted())
    return found.threshold(false_accept_rate)


# For a parameter before the turn's: a place at the networks is not kept while it waits.
ThresholdDep = Annotated[float | None, Depends(chosen_threshold)]


def _answer(found: Calibration, rate: float, model: str) -> CalibrationAnswer:
    threshold = found.threshold(rate)
    return CalibrationAnswer(
        threshold=threshold,
        expected_miss_rate=found.miss_rate(threshold),
        interval=list(found.interval(threshold)),
        genuine=found.genuine_count,
        impostors=len(found.impostor),
        gallery_revision=found.revision,
        model=model,
    )
