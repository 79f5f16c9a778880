"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) on the POSTs that change things."""

import re
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from app.http.current import current_request
from app.http.problems import RequestProblem, describe
from app.http.schemas import Problem
from app.http.state import ServiceDep
from app.idempotency import FIRST_FAULT, Answer, Answers, KeyInUse, KeyReused

MAX_KEY_LENGTH = 200
PROBLEM = "application/problem+json"
# The draft's header is a string of RFC 8941, in quotes; most clients send it bare.
_KEY = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]+)"|([\x21\x23-\x5b\x5d-\x7e]+)')

Work = Callable[[], tuple[int, BaseModel]]


class Once:
    """Does the work of one request, unless a request with its key has been answered before."""

    def __init__(self, answers: Answers, key: str | None, request: str) -> None:
        self._answers = answers
        self._key = key
        self._request = request

    def __call__(self, body: str, work: Work) -> Response:
        """The answer as status and document that `work` gives; `body`: a digest of what was sent.

        Raises:
            RequestProblem: the key is another request's, or this one's, which is still running.
        """
        if self._key is None:
            answer = _answer(*work())
        else:
            request = f"{self._request}\n{body}"
            answer = self._kept(self._key, sha256(request.encode()).hexdigest(), work)
        if answer.media_type == PROBLEM:
            current_request().problem = Problem.model_validate_json(answer.body).code
        return Response(answer.body, answer.status, media_type=answer.media_type)

    def _kept(self, key: str, request: str, work: Work) -> Answer:
        try:
            return self._answers.once(key, request, partial(_made, work))
        except KeyInUse:
            raise RequestProblem(
                409,
                "idempotency-key-in-use",
                "A request with this Idempotency-Key is still being answered. Send it again later.",
                {"Retry-After": "1"},
            ) from None
        except KeyReused:
            raise RequestProblem(
                422,
                "idempotency-key-reused",
                "This Idempotency-Key came with another request. Use a new key for each request.",
            ) from None


def once(
    request: Request,
    service: ServiceDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Your own key for this request, such as a UUID: sent again with the same "
            "key within a day, it is answered as before and not done again.",
            examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        ),
    ] = None,
) -> Once:
    """The dependency of a route that takes a key.

    Raises:
        RequestProblem: the key is none.
    """
    key = None
    if idempotency_key is not None:
        match = _KEY.fullmatch(idempotency_key.strip())
        key = (match[1] or match[2]) if match else ""
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise RequestProblem(
                400,
                "malformed-idempotency-key",
                f"Idempotency-Key takes 1 to {MAX_KEY_LENGTH} printable ASCII characters, "
                "in quotes or bare, such as a UUID.",
            )
    caller = current_request().key
    query = sorted(request.query_params.multi_items())
    return Once(
        service.answers,
        None if key is None else f"{caller} {key}",
        f"{request.method} {request.url.path} {query}",
    )


OnceDep = Annotated[Once, Depends(once)]


def _made(work: Work) -> Answer:
    """What `work` answers, or the problem that is its answer and always will be."""
    try:
        return _answer(*work())
    except Exception as error:
        problem = describe(error)
        if problem.status >= FIRST_FAULT:
            raise
        return _answer(problem.status, problem, PROBLEM)


def _answer(status: int, document: BaseModel, media_type: str = "application/json") -> Answer:
    return Answer(status, media_type, document.model_dump_json().encode())
