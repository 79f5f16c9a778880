"""`ETag`, `If-Match`, `If-None-Match` (RFC 9110): nobody overwrites a change they have not seen."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from app.http.problems import RequestProblem
from gallery import ANY_VERSION, Product

# For `responses=`: what set_etag writes.
ETAG = {
    "ETag": {
        "description": "The product's `version` in quotes, for `If-Match`.",
        "required": True,
        "schema": {"type": "string"},
    }
}
ABSENT = 0  # the version of a product that does not exist
# A proxy that compresses makes it a weak one; versions are no less exact for that.
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


def expected_version(
    if_match: Annotated[
        str | None,
        Header(max_length=200, description="Only if this is the product's `ETag` (or `*`)."),
    ] = None,
    if_none_match: Annotated[
        str | None, Header(max_length=200, description="`*`: only if there is no such product.")
    ] = None,
) -> int | None:
    """The version that the client wants to change; None when it does not mind.

    Raises:
        RequestProblem: a header that is neither an ETag of ours nor `*`.
    """
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise RequestProblem(
                400, "malformed-precondition", "If-None-Match takes * here: only if it is new."
            )
        return ABSENT
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return ANY_VERSION
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise RequestProblem(
            400,
            "malformed-precondition",
            'If-Match takes the ETag of an answer about the product, such as "17", or *.',
        )
    return int(match[1])


ExpectedVersion = Annotated[int | None, Depends(expected_version)]


def set_etag(response: Response, product: Product) -> None:
    response.headers["ETag"] = f'"{product.version}"'
