"""What several routes write into their answers."""

from time import perf_counter

from fastapi import Response
from pydantic import BaseModel

from app.http.schemas import ProductRef
from gallery import Candidate, Product


def written(document: BaseModel) -> Response:
    # Written on the request's thread: FastAPI would validate it once more, on the event loop.
    return Response(document.model_dump_json(), media_type="application/json")


def product_ref(product: Candidate | Product) -> ProductRef:
    """A product as results name it."""
    number = product.id if isinstance(product, Product) else product.product_id
    return ProductRef(id=number, name=product.name, metadata=product.metadata)


def milliseconds_since(start: float) -> float:
    return (perf_counter() - start) * 1000
