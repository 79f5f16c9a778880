"""Who may use the networks when: a bounded number of requests, in the order of their arrival."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from time import perf_counter
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from app.http.problems import RequestProblem
from app.http.shares import Shared, caller_of
from models.widths import Cores

# How much the latest request counts in the mean that Retry-After is reckoned from.
_NEWEST = 0.1


def overdue(patience: float) -> RequestProblem:
    """What is answered after so many seconds."""
    return RequestProblem(
        503,
        "deadline-exceeded",
        f"There was no answer within {patience:g} s: the service has more to do than it can. "
        "Send the request again later, or to another one.",
        {"Retry-After": "1"},
    )


class Turn:
    """A request's turn at the networks, asked for when its body has arrived."""

    def __init__(self, patience: float) -> None:
        self.arrived = perf_counter()
        self.begins: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._patience = patience
        self._began: float | None = None
        self._gone = False

    @property
    def waited(self) -> float:
        """Milliseconds from the arrival until the turn began; 0 before."""
        return 0.0 if self._began is None else (self._began - self.arrived) * 1000

    @property
    def began(self) -> bool:
        return self._began is not None

    def begin(self) -> None:
        self._began = perf_counter()
        self.begins.set_result(None)

    def leave(self) -> None:
        """The client has gone."""
        self._gone = True
        self._refuse(ClientDisconnect())

    def expire(self) -> None:
        """The client has waited long enough."""
        self._refuse(overdue(self._patience))

    def proceed(self) -> None:
        """Go on, unless there is nobody left to answer; may be called from any thread.

        Raises:
            ClientDisconnect: the client has gone.
            RequestProblem: the deadline has passed.
        """
        if self._gone:
            raise ClientDisconnect
        if perf_counter() - self.arrived > self._patience:
            raise overdue(self._patience)

    def _refuse(self, error: Exception) -> None:
        if not self.begins.done():
            self.begins.set_exception(error)


class Admission:
    """Lets `most` requests in and `places` of them at the networks. Belongs to one event loop."""

    def __init__(self, *, places: int, most: int, patience: float, cores: Cores) -> None:
        """`patience`: seconds from a body's arrival after which nobody waits for the answer.

        `cores` is told how many requests are at the networks.
        """
        self._places = places
        self._patience = patience
        self._cores = cores
        self._inside = Shared(most)
        self._waiters = 0
        self._waiting: deque[Turn] = deque()
        self._mean_seconds = 0.0

    @property
    def inside(self) -> int:
        """Requests that were let in and are not answered yet."""
        return self._inside.taken

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come yet; may be asked from any thread."""
        return self._waiters

    @contextmanager
    def entered(self, caller: str) -> Iterator[None]:
        """Let a caller's request in until it is answered.

        Raises:
            RequestProblem: there are as many as may be, or as may be the caller's.
        """
        if not self._inside.has(1, caller):
            seconds = max(1, ceil(self.inside * self._mean_seconds / self._places))
            raise RequestProblem(
                429,
                "overloaded",
                f"{self.inside} requests are waiting already; come back in {seconds} s.",
                {"Retry-After": str(seconds)},
            )
        self._inside.take(1, caller)
        try:
            yield
        finally:
            self._inside.give_back(1, caller)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[Turn]:
        """Wait until it is this request's turn; its body must have been read.

        Raises:
            ClientDisconnect: the client went away meanwhile.
            RequestProblem: the deadline passed meanwhile.
        """
        turn = Turn(self._patience)
        watching = asyncio.create_task(_leave_with_client(request, turn))
        expiring = asyncio.get_running_loop().call_later(self._patience, turn.expire)
        self._waiting.append(turn)
        self._advance()
        try:
            self._waiters += 1
            try:
                await turn.begins
            finally:
                self._waiters -= 1
            yield turn
        finally:
            expiring.cancel()
            watching.cancel()
            if turn.began:
                self._cores.requests -= 1
                self._note(perf_counter() - turn.arrived - turn.waited / 1000)
                self._advance()

    def _advance(self) -> None:
        while self._waiting and self._cores.requests < self._places:
            turn = self._waiting.popleft()
            # Who has left, or was told to come back, is still in the queue.
            if not turn.begins.done():
                self._cores.requests += 1
                turn.begin()

    def _note(self, seconds: float) -> None:
        self._mean_seconds += _NEWEST * (seconds - self._mean_seconds)


async def _leave_with_client(request: Request, turn: Turn) -> None:
    # The body has been read: what arrives now is that the client has gone.
    while (await request.receive())["type"] != "http.disconnect":
        pass
    turn.leave()


async def _enter(request: Request) -> AsyncIterator[None]:
    admission: Admission = request.app.state.admission
    with admission.entered(caller_of(request.scope)):
        yield


async def _take_turn(request: Request) -> AsyncIterator[Turn]:
    admission: Admission = request.app.state.admission
    async with admission.turn(request) as turn:
        yield turn


# For `dependencies=`: before the body is read, until the answer is sent.
ENTER = Depends(_enter)
# For a parameter behind the upload's: while the route's function runs.
TurnDep = Annotated[Turn, Depends(_take_turn, scope="function")]
