from datetime import UTC, datetime

from app.http.rates import Rates
from app.keys import Key, Scope
from tests.clocks import Clock


def key(per_minute: int | None, name: str = "till") -> Key:
    return Key(
        id=name,
        name=name,
        scopes=[Scope.RECOGNIZE],
        per_minute=per_minute,
        sha256="",
        created_at=datetime.now(UTC),
    )


def test_a_burst_then_the_average() -> None:
    clock = Clock()
    rates = Rates(clock)
    till = key(30)
    assert [rates.take(till) for _ in range(30)] == [None] * 30
    assert rates.take(till) == 2
    clock.now += 1.9
    assert rates.take(till) == 1
    clock.now += 0.2
    assert rates.take(till) is None
    assert rates.take(till) == 2
    clock.now += 3600
    assert [rates.take(till) for _ in range(31)] == [None] * 30 + [2]


def test_waiting_as_told_is_enough() -> None:
    clock = Clock()
    rates = Rates(clock)
    till = key(7)
    for _ in range(100):
        wait = rates.take(till)
        if wait:
            clock.now += wait
            assert rates.take(till) is None


def test_keys_do_not_share() -> None:
    rates = Rates(Clock())
    assert rates.take(key(1, "a")) is None
    assert rates.take(key(1, "b")) is None
    assert rates.take(key(1, "a")) == 60
    assert [rates.take(key(None, "c")) for _ in range(500)] == [None] * 500
