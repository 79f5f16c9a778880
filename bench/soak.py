"""The service under strain for long: clients that misbehave, or all kinds of calls at once.

    python -m bench.soak disturbed --minutes 15 --write docs/benchmarks.md
    python -m bench.soak mixed --minutes 30 --write docs/benchmarks.md

*Disturbed*: 64 clients ask again and again; a tenth of their requests trickles in, a tenth is
broken, a tenth is given up before it is answered. What the others get is compared with a while
without such clients. *Mixed*: clients recognise, detect, embed, read the gallery and teach it new
products. Every answer is compared with what the service said of the same photograph before the
load; what was taught must be recognised at once and gone when it was deleted. Threads, open files
and memory of the service's process are taken down all along.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from bench.processes import memory
from bench.report import circumstances, parser_of, publish, table
from bench.serve import Connection, Load, post, service
from bench.soak_requests import Truth, broken, cancelled, novelty, trickled

DISTURBED_CLIENTS = 64
MIXED_CLIENTS = 16
MISBEHAVING = {"slow": 0.1, "broken": 0.1, "cancelled": 0.1}
MIX = {"recognize": 0.5, "embed": 0.15, "detect": 0.1, "read": 0.1, "teach": 0.15}
SAMPLE_SECONDS = 5.0
WARM_PART = 0.2
SETTLED_SECONDS = 10.0
# On a machine that does other things nobody shall be refused for its slowness.
PATIENCE = {"TILLSIGHT_DEADLINE_SECONDS": "300", "TILLSIGHT_EXIT_WHEN_STUCK": "0"}


@dataclass
class State:
    """Threads, open files and resident megabytes of a process."""

    threads: int
    files: int
    megabytes: float

    @classmethod
    def of(cls, pid: int) -> "State":
        process = Path("/proc", str(pid))
        threads = sum(1 for _ in (process / "task").iterdir())
        return cls(threads, sum(1 for _ in (process / "fd").iterdir()), sum(memory(pid)))

    @classmethod
    def median(cls, states: Sequence["State"]) -> "State":
        return cls(
            round(median(state.threads for state in states)),
            round(median(state.files for state in states)),
            median(state.megabytes for state in states),
        )


@dataclass
class Outcome:
    """What came of a soak: `done` counts requests by kind, `unexpected` statuses by kind."""

    load: Load = field(default_factory=Load)
    done: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    states: list[State] = field(default_factory=list)

    def expect(self, kind: str, status: int, *statuses: int) -> bool:
        """Whether a request of this kind was answered as it should be."""
        self.done[kind] += 1
        if status not in statuses:
            self.unexpected[f"{kind}: {status}"] += 1
        return status in statuses


async def recognized(connection: Connection, truth: Truth, number: int, outcome: Outcome) -> None:
    since = perf_counter()
    status, answer = await connection.ask(post("/recognize", truth.photographs[number]))
    if outcome.expect("recognize", status, 200):
        outcome.load.seconds.append(perf_counter() - since)
        outcome.load.wrong += not truth.agrees("recognize", number, answer)
    else:
        outcome.load.refused.append(status)


Client = Callable[[int, Connection, np.random.Generator], Awaitable[None]]


async def soak(
    port: int, pid: int, clients: int, seconds: float, outcome: Outcome, turn: Client
) -> None:
    """`clients` take one `turn` after the other for `seconds`."""
    start = perf_counter()

    async def client(number: int) -> None:
        rng = np.random.default_rng(number)
        connection = Connection(port)
        while perf_counter() - start < seconds:
            await turn(number, connection, rng)
        connection.close()

    async def watch() -> None:
        while True:
            outcome.states.append(State.of(pid))
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client(number) for number in range(clients)))
    outcome.load.elapsed = perf_counter() - start
    watching.cancel()


async def disturbed(port: int, pid: int, seconds: float) -> str:
    """The table of both loads."""
    truth = await Truth.told(port)
    outcomes = {"without them": Outcome(), "with them": Outcome()}
    shares = list(MISBEHAVING.values())

    def turns(outcome: Outcome, *, misbehaving: bool) -> Client:
        async def turn(_: int, connection: Connection, rng: np.random.Generator) -> None:
            number = int(rng.integers(len(truth.photographs)))
            photograph = truth.photographs[number]
            draw = rng.random()
            if not misbehaving or draw >= sum(shares):
                await recognized(connection, truth, number, outcome)
            elif draw < shares[0]:
                # It would be idle for so long that the service hangs up.
                connection.close()
                outcome.expect("slow", await trickled(port, post("/recognize", photograph)), 200)
            elif draw < sum(shares[:2]):
                status = (await connection.ask(broken(photograph, rng)))[0]
                outcome.expect("broken", status, 400, 415, 422)
            else:
                await cancelled(port, post("/recognize", photograph), rng)
                outcome.done["cancelled"] += 1

        return turn

    before = State.of(pid)
    for (name, outcome), part in zip(outcomes.items(), (WARM_PART, 1.0), strict=True):
        turn = turns(outcome, misbehaving=name == "with them")
        await soak(port, pid, DISTURBED_CLIENTS, seconds * part, outcome, turn)
    after = await settled(pid)
    header = ("the others", "answers/s", "median ms", "99 %", "longest", "refused", "wrong")
    rows = [outcome.load.row(name) for name, outcome in outcomes.items()]
    result = outcomes["with them"]
    return "\n\n".join((table(header, rows), summary(result), kept(before, result, after)))


async def mixed(port: int, pid: int, seconds: float) -> str:
    """The table of the calls."""
    truth = await Truth.told(port)
    outcome = Outcome()
    kinds, shares = list(MIX), list(MIX.values())

    async def turn(client: int, connection: Connection, rng: np.random.Generator) -> None:
        number = int(rng.integers(len(truth.photographs)))
        kind = str(rng.choice(kinds, p=shares))
        if kind == "recognize":
            await recognized(connection, truth, number, outcome)
        elif kind == "read":
            status, _ = await connection.ask(post("/gallery/products?limit=50", b"", method="GET"))
            outcome.expect("read", status, 200)
        elif kind == "teach":
            await taught(connection, f"/gallery/products/soak-{client}", rng, outcome)
        else:
            status, answer = await connection.ask(post(f"/{kind}", truth.photographs[number]))
            if outcome.expect(kind, status, 200):
                outcome.load.wrong += not truth.agrees(kind, number, answer)

    before = State.of(pid)
    await soak(port, pid, MIXED_CLIENTS, seconds, outcome, turn)
    after = await settled(pid)
    header = ("recognitions among them", "answers/s", "median ms", "99 %", "longest", "refused")
    rows = [outcome.load.row("mixed load")[:-1]]
    wrong = f"Answers that were not those of their image: {outcome.load.wrong}."
    return "\n\n".join(
        (table(header, rows), f"{summary(outcome)} {wrong}", kept(before, outcome, after))
    )


async def taught(
    connection: Connection, product: str, rng: np.random.Generator, outcome: Outcome
) -> None:
    """A product is enrolled, recognised, deleted and gone."""
    picture = novelty(rng)
    body = json.dumps({"name": "Soak"}).encode()
    status, _ = await connection.ask(post(product, body, "application/json", "PUT"))
    outcome.expect("put product", status, 200, 201)
    status, _ = await connection.ask(post(f"{product}/images", picture))
    # One that was refused can't be recognised.
    if outcome.expect("add image", status, 201):
        status, answer = await connection.ask(post("/recognize?detect=false", picture))
        if outcome.expect("recognize the new", status, 200):
            best: list[dict[str, Any]] = json.loads(answer)["results"][0]["candidates"]
            outcome.load.wrong += best[0]["product_id"] != product.rpartition("/")[2]
    status, _ = await connection.ask(post(product, b"", method="DELETE"))
    outcome.expect("delete product", status, 204)
    status, _ = await connection.ask(post(product, b"", method="GET"))
    outcome.expect("look for the deleted", status, 404)


async def settled(pid: int) -> State:
    await asyncio.sleep(SETTLED_SECONDS)
    return State.of(pid)


def summary(outcome: Outcome) -> str:
    """Requests by kind, and those that were not answered as they should be."""
    done = ", ".join(f"{count:,} {kind}" for kind, count in sorted(outcome.done.items()))
    unexpected = ", ".join(f"{n} × {what}" for what, n in sorted(outcome.unexpected.items()))
    return f"Requests: {done}. Not answered as they should be: {unexpected or 'none'}."


def kept(before: State, outcome: Outcome, after: State) -> str:
    """A table of threads, files and memory before, during and after."""
    load = outcome.states[int(len(outcome.states) * WARM_PART) :]
    parts = [State.median(load[len(load) * n // 5 : len(load) * (n + 1) // 5]) for n in range(5)]
    rows = [
        (name, str(state.threads), str(state.files), f"{state.megabytes:.0f}")
        for name, state in (
            ("before the load", before),
            *((f"fifth {number} of it, median", part) for number, part in enumerate(parts, 1)),
            (f"{SETTLED_SECONDS:g} s after it", after),
        )
    ]
    growth = parts[-1].megabytes / parts[0].megabytes - 1
    header = ("the service's process", "threads", "open files", "RSS MB")
    return (
        f"{table(header, rows)}\n\nA fifth of the time is left out, to warm up. Memory from the "
        f"first of these fifths to the last: {growth:+.1%}."
    )


def main() -> None:
    parser = parser_of(__doc__, "pack name", "threads")
    parser.add_argument("load", choices=("disturbed", "mixed"))
    parser.add_argument("--minutes", type=float, default=15)
    options = parser.parse_args()
    run = disturbed if options.load == "disturbed" else mixed
    with (
        tempfile.TemporaryDirectory() as folder,
        service(Path(folder), options.pack, options.threads, more=PATIENCE) as (port, pid),
    ):
        measured = asyncio.run(run(port, pid, options.minutes * 60))
    clients = DISTURBED_CLIENTS if run is disturbed else MIXED_CLIENTS
    told = {
        "disturbed": "a tenth of the requests each trickle in, are broken, or are given up; before "
        "that, a fifth of the time without such requests",
        "mixed": "they recognise, detect, embed, read the gallery and teach it new products",
    }
    text = (
        f"## Soak: {options.load} load\n\n`python -m bench.soak {options.load} --minutes "
        f"{options.minutes:g}`: {clients} clients over HTTP, {options.threads} threads, pack "
        f"`{options.pack}`; {told[options.load]}. The load is made on the same cores, "
        "which may have done other things as well: times are no measure of speed. "
        f"{circumstances()}\n\n{measured}"
    )
    publish(options.write, f"soak {options.load}", text)


if __name__ == "__main__":
    main()
