import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from threading import Thread
from time import monotonic, sleep

import httpx2
import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request

from app.http.admission import Admission
from app.http.application import create_app
from app.http.problems import RequestProblem
from app.http.shares import Shared
from app.service import Service
from models.widths import Cores
from tests.app import pictures


class Client:
    """A request whose body has arrived, and whose client stays until it leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request:
        return Request({"type": "http"}, self.receive)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_turns_come_in_the_order_of_arrival_and_never_more_than_there_are_places() -> None:
    order: list[int] = []

    async def ask(admission: Admission, number: int, ends: asyncio.Event) -> None:
        async with admission.turn(Client().request) as turn:
            order.append(number)
            await ends.wait()
            assert turn.waited >= 0

    async def run() -> None:
        admission = Admission(places=2, most=9, patience=60, cores=Cores())
        ends = [asyncio.Event() for _ in range(6)]
        asked = []
        for number, end in enumerate(ends):
            asked.append(asyncio.create_task(ask(admission, number, end)))
            await settled()
        assert order == [0, 1]
        ends[1].set()
        await settled()
        assert order == [0, 1, 2]
        ends[0].set()
        ends[2].set()
        await settled()
        assert order == [0, 1, 2, 3, 4]
        for end in ends:
            end.set()
        await asyncio.gather(*asked)
        assert order == [0, 1, 2, 3, 4, 5]

    asyncio.run(run())


def test_who_leaves_the_queue_gives_way_and_who_leaves_later_is_noticed() -> None:
    async def run() -> None:
        admission = Admission(places=1, most=9, patience=60, cores=Cores())
        first, second, third = Client(), Client(), Client()
        async with admission.turn(first.request) as turn:

            async def ask(client: Client) -> float:
                async with admission.turn(client.request) as waiting:
                    return waiting.waited

            leaving = asyncio.create_task(ask(second))
            staying = asyncio.create_task(ask(third))
            await settled()
            second.left.set()
            with pytest.raises(ClientDisconnect):
                await leaving
            turn.proceed()
            first.left.set()
            await settled()
            with pytest.raises(ClientDisconnect):
                turn.proceed()
        assert await staying > 0

    asyncio.run(run())


def test_who_waits_is_counted_until_the_turn_comes_or_nobody_waits_any_more() -> None:
    async def run() -> None:
        admission = Admission(places=1, most=9, patience=60, cores=Cores())
        gone, patient = Client(), Client()

        async def ask(client: Client) -> None:
            async with admission.turn(client.request):
                assert admission.waiting == 0

        async with admission.turn(Client().request):
            assert admission.waiting == 0
            asked = [asyncio.create_task(ask(client)) for client in (gone, patient)]
            await settled()
            assert admission.waiting == 2
            gone.left.set()
            await settled()
            assert admission.waiting == 1
        assert isinstance(
            (await asyncio.gather(*asked, return_exceptions=True))[0], ClientDisconnect
        )
        assert admission.waiting == 0

    asyncio.run(run())


def test_no_caller_takes_the_places_of_all_others() -> None:
    async def run() -> None:
        admission = Admission(places=1, most=8, patience=60, cores=Cores())
        with ExitStack() as greedy, ExitStack() as others:
            for _ in range(6):
                greedy.enter_context(admission.entered("greedy"))
            for _ in range(2):
                with pytest.raises(RequestProblem) as refused, admission.entered("greedy"):
                    pytest.fail("its share is used up")
                assert (refused.value.status, refused.value.code) == (429, "overloaded")
                others.enter_context(admission.entered("other"))
            with pytest.raises(RequestProblem), admission.entered("third"):
                pytest.fail("there is no place")
            greedy.close()
            with admission.entered("greedy"):
                assert admission.inside == 3
        assert admission.inside == 0

    asyncio.run(run())


def test_the_deadline_holds_before_and_in_a_turn() -> None:
    async def run() -> None:
        admission = Admission(places=1, most=9, patience=0.05, cores=Cores())
        async with admission.turn(Client().request) as turn:
            with pytest.raises(RequestProblem, match=r"within 0\.05 s") as refused:
                async with admission.turn(Client().request):
                    pytest.fail("there is no place")
            assert (refused.value.status, refused.value.code) == (503, "deadline-exceeded")
            with pytest.raises(RequestProblem):
                turn.proceed()
        async with admission.turn(Client().request) as turn:
            turn.proceed()

    asyncio.run(run())


class Running:
    """The application over a socket, its admission at hand on its own event loop."""

    def __init__(self, service: Service) -> None:
        self.app = create_app(service)
        self.server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_config=None))
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self.loop.run_until_complete, args=(self.server.serve(),))

    def __enter__(self) -> "Running":
        self._thread.start()
        while not self.server.started:
            sleep(0.005)
        self.port: int = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join()
        self.loop.close()

    @contextmanager
    def all_places_taken(self) -> Iterator[None]:
        ends = asyncio.Event()

        @asynccontextmanager
        async def held() -> AsyncIterator[None]:
            async with self.app.state.admission.turn(Client().request):
                yield

        async def hold(taken: asyncio.Event) -> None:
            async with held():
                taken.set()
                await ends.wait()

        async def take() -> list[asyncio.Task[None]]:
            places = self.app.state.admission._places
            signals = [asyncio.Event() for _ in range(places)]
            tasks = [asyncio.create_task(hold(signal)) for signal in signals]
            for signal in signals:
                await signal.wait()
            return tasks

        tasks = asyncio.run_coroutine_threadsafe(take(), self.loop).result(10)
        try:
            yield
        finally:
            self.loop.call_soon_threadsafe(ends.set)
            for task in tasks:
                while not task.done():
                    sleep(0.005)

    def inside(self, count: int) -> bool:
        """Whether so many requests are inside soon."""
        until = monotonic() + 20
        while self.app.state.admission.inside != count and monotonic() < until:
            sleep(0.005)
        return self.app.state.admission.inside == count


def upload(port: int, path: str, *, length: int | None = None) -> socket.socket:
    """A raw request that has been sent, or the beginning of one of `length` bytes."""
    body = pictures.jpeg(1)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
    sent = socket.create_connection(("127.0.0.1", port))
    sent.sendall(f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body)
    return sent


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/recognize", "image/jpeg"),
        ("/detect", "image/jpeg"),
        ("/embed", "image/jpeg"),
        ("/gallery/products/a/images", "image/jpeg"),
        ("/gallery/import", "application/zip"),
        ("/feedback", "application/json"),
    ],
)
def test_more_than_may_wait_are_told_when_to_come_back(
    service: Service, path: str, kind: str
) -> None:
    with Running(service) as running:
        running.app.state.admission._inside = Shared(2)
        half = [upload(running.port, "/recognize", length=1_500_000) for _ in range(2)]
        assert running.inside(2)
        answer = httpx2.post(running.url + path, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 429
        assert answer.json()["code"] == "overloaded"
        assert int(answer.headers["retry-after"]) >= 1
        # Reading goes on, and there is room again when one of them gives up.
        assert httpx2.get(running.url + "/gallery").status_code == 200
        half.pop().close()
        assert running.inside(1)
        answer = httpx2.post(running.url + path, content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code in (404, 415, 422)
        half.pop().close()


def test_a_photograph_is_decoded_for_feedback_in_its_turn(service: Service) -> None:
    with Running(service) as running, ThreadPoolExecutor(1) as pool:
        seen = httpx2.post(running.url + "/recognize", files={"image": pictures.jpeg(1)}).json()
        body = {"request_id": seen["request_id"], "product_id": None}
        with running.all_places_taken():
            said = pool.submit(httpx2.post, running.url + "/feedback", json=body)
            assert running.inside(1)
            with pytest.raises(TimeoutError):
                said.result(0.3)
        assert said.result().status_code == 201


def test_who_has_gone_costs_no_network_a_pass(service: Service) -> None:
    with Running(service) as running:
        with running.all_places_taken():
            waiting = [upload(running.port, "/recognize") for _ in range(3)]
            assert running.inside(3)
            for one in waiting[:2]:
                one.close()
            assert running.inside(1)
        assert waiting[2].recv(15) == b"HTTP/1.1 200 OK"
        waiting[2].close()
        seen = httpx2.get(running.url + "/metrics").text
        stages = [line for line in seen.splitlines() if "stage_seconds_count" in line]
        assert 'tillsight_stage_seconds_count{route="/recognize",stage="embed"} 1.0' in stages
