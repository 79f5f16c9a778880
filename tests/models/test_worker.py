import threading
from concurrent.futures import CancelledError

import pytest

from models.errors import ClosedError
from models.worker import Worker


class Gate:
    """A batch function that waits until it is let through and remembers its batches."""

    def __init__(self):
        self.open = threading.Event()
        self.entered = threading.Event()
        self.batches = []

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.set()
        assert self.open.wait(60)
        if "bad" in items:
            raise ValueError("a bad item")
        return [f"<{item}>" for item in items]


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def worker(gate):
    worker = Worker("test", lambda: gate, max_batch=4)
    yield worker
    gate.open.set()
    worker.close()


def occupy(worker, gate):
    """A first request that is being run, so that what follows has to wait."""
    future = worker.submit("first")
    assert gate.entered.wait(60)
    return future


def test_what_waits_is_drained_in_order_up_to_the_limit(worker, gate):
    futures = [occupy(worker, gate)] + [worker.submit(n) for n in range(6)]
    assert worker.depth == 6
    gate.open.set()
    assert [f.result().result for f in futures] == ["<first>", *(f"<{n}>" for n in range(6))]
    assert gate.batches == [["first"], [0, 1, 2, 3], [4, 5]]
    assert worker.depth == 0


def test_the_limit_counts_items_and_nobody_overtakes(worker, gate):
    futures = [occupy(worker, gate)]
    futures += [worker.submit(name, size=size) for name, size in [("a", 3), ("b", 2), ("c", 1)]]
    gate.open.set()
    for future in futures:
        future.result()
    assert gate.batches == [["first"], ["a"], ["b", "c"]]


@pytest.mark.parametrize("size", [0, 5])
def test_a_request_that_fits_no_batch_is_refused(worker, size):
    with pytest.raises(ValueError, match="1 to 4"):
        worker.submit("x", size=size)


def test_one_bad_request_does_not_fail_its_neighbours(worker, gate):
    occupy(worker, gate)
    good, bad, last = (worker.submit(name) for name in ("good", "bad", "last"))
    gate.open.set()
    assert good.result().result == "<good>"
    assert last.result().result == "<last>"
    with pytest.raises(ValueError, match="a bad item"):
        bad.result()


def test_a_cancelled_request_is_skipped(worker, gate):
    occupy(worker, gate)
    cancelled, kept = worker.submit("cancelled"), worker.submit("kept")
    assert cancelled.cancel()
    gate.open.set()
    assert kept.result().result == "<kept>"
    with pytest.raises(CancelledError):
        cancelled.result()
    assert gate.batches == [["first"], ["kept"]]


def test_queue_time_is_each_requests_own(worker, gate):
    first = occupy(worker, gate)
    waiting = worker.submit("waiting")
    gate.open.set()
    # The second waits at least as long as the gate held the first after it came.
    assert waiting.result().queue > 0
    assert first.result().forward > 0
    assert waiting.result().forward >= 0


def test_close_finishes_what_was_accepted_and_takes_nothing_more(gate):
    worker = Worker("test", lambda: gate, max_batch=1)
    futures = [occupy(worker, gate)] + [worker.submit(n) for n in range(5)]
    closing = threading.Thread(target=worker.close)
    closing.start()
    gate.open.set()
    closing.join(60)
    assert not closing.is_alive()
    assert [f.result(0).result for f in futures] == ["<first>", *(f"<{n}>" for n in range(5))]
    with pytest.raises(ClosedError):
        worker.submit("late")
    worker.close()


def test_a_failed_start_is_raised_where_the_worker_is_made():
    def start():
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"):
        Worker("test", start, max_batch=1)


def test_everything_runs_in_the_one_thread_that_started():
    seen = set()

    def start():
        seen.add(threading.current_thread())

        def run(items):
            seen.add(threading.current_thread())
            return items

        return run

    worker = Worker("test", start, max_batch=8)
    callers = [threading.Thread(target=lambda: worker.submit(1).result()) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    worker.close()
    assert len(seen) == 1
    assert threading.current_thread() not in seen
