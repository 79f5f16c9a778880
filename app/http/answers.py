"""What several routes write into their answers."""

from time import perf_counter

from fastapi import Response
from pydantic import BaseModel

from app.http.admission import Turn
from app.http.schemas import ProductRef, Timing
from gallery import Candidate, Product
from models.worker import StageTimes


def written(document: BaseModel) -> Response:
    # Written on the request's thread: FastAPI would validate it once more, on the event loop.
    return Response(document.model_dump_json(), media_type="application/json")


def product_ref(product: Candidate | Product) -> ProductRef:
    """A product as results name it."""
    number = product.id if isinstance(product, Product) else product.product_id
    return ProductRef(id=number, name=product.name, metadata=product.metadata)


def timing_of(
    turn: Turn,
    *,
    decode: float,
    detect: StageTimes,
    embed: StageTimes,
    search: float,
    rerank: float = 0.0,
) -> Timing:
    """What a photograph took until now, in milliseconds."""
    return Timing(
        decode=decode,
        detect_preprocess=detect.preprocess,
        detect=detect.forward,
        embed_preprocess=embed.preprocess,
        embed=embed.forward,
        search=search,
        rerank=rerank,
        queue=turn.waited + detect.queue + embed.queue,
        total=milliseconds_since(turn.arrived),
    )


def milliseconds_since(start: float) -> float:
    return (perf_counter() - start) * 1000
