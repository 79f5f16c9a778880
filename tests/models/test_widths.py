import threading
import time

import numpy as np
import pytest

from models import widths
from models.detector import Detector
from models.embedder import Embedder
from models.pack import Pack
from models.widths import Cores, Widths


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(widths, "available_cores", lambda: 4)


def threads_used(width):
    """A network that answers with its number of threads and the thread that runs it."""
    return lambda items: [(width, threading.get_ident()) for _ in items]


def ask_until_narrow(run):
    """The narrow predictor is made behind the first runs that it was wanted for."""
    while (answer := run(["item"])[0])[0] == 4:
        pass
    return answer


def test_a_network_alone_has_all_threads():
    shared = Widths("network", threads_used, 10, Cores())
    assert shared.begin()(["one", "two"]) == [(4, threading.get_ident())] * 2
    shared.close()


def test_half_of_them_on_a_thread_of_its_own_while_there_are_other_requests():
    cores = Cores()
    shared = Widths("network", threads_used, 4, cores)
    run = shared.begin()
    cores.requests = 2
    width, thread = ask_until_narrow(run)
    assert width == 2
    assert thread != threading.get_ident()
    assert run(["again"]) == [(2, thread)]
    cores.requests = 1
    assert run(["alone"]) == [(4, threading.get_ident())]
    shared.close()


def test_half_of_them_while_another_network_is_at_work():
    cores = Cores()
    shared = Widths("network", threads_used, 4, cores)
    run = shared.begin()
    with cores.taken() as alone:
        assert alone
        assert ask_until_narrow(run)[0] == 2
    assert run(["alone"])[0][0] == 4
    shared.close()


def test_half_of_them_where_other_processes_leave_them_no_time():
    def idle(width):
        """Waits, as a pass does whose threads get no core."""

        def run(items):
            time.sleep(0.02)
            return threads_used(width)(items)

        return run

    shared = Widths("network", idle, 4, Cores())
    run = shared.begin()
    width, thread = ask_until_narrow(run)
    assert width == 2
    assert thread != threading.get_ident()
    shared.close()


def test_one_thread_is_not_halved():
    cores = Cores()
    cores.requests = 9
    shared = Widths("network", threads_used, 1, cores)
    assert shared.begin()(["item"]) == [(1, threading.get_ident())]
    shared.close()


def test_without_a_second_predictor_the_first_does_it_all(caplog):
    def start(width):
        if width == 2:
            raise MemoryError("no room")
        return threads_used(width)

    cores = Cores()
    shared = Widths("network", start, 4, cores)
    run = shared.begin()
    cores.requests = 2
    assert [run(["item"])[0][0] for _ in range(3)] == [4, 4, 4]
    shared.close()
    assert run(["item"])[0][0] == 4
    assert "the first one does all the work" in caplog.text


def test_an_error_of_the_network_reaches_who_asked():
    def start(width):
        def run(items):
            if items == ["bad"]:
                raise ValueError(f"{width} threads")
            return [width for _ in items]

        return run

    cores = Cores()
    shared = Widths("network", start, 4, cores)
    run = shared.begin()
    cores.requests = 2
    while run(["good"]) == [4]:
        pass
    with pytest.raises(ValueError, match="2 threads"):
        run(["bad"])
    assert run(["good"]) == [2]
    shared.close()


def test_real_networks_answer_alike_in_both_widths(pack_folder):
    before = set(threading.enumerate())  # other tests' services have threads of the same name
    cores = Cores()
    detector = Detector(Pack.load(pack_folder), 2, cores=cores)
    embedder = Embedder(Pack.load(pack_folder), 2, cores=cores)
    image = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    boxes, vectors = detector.detect(image)[0], embedder.embed([image] * 3)[0]
    cores.requests = 2
    for _ in range(20):
        assert detector.detect(image)[0] == boxes
        np.testing.assert_allclose(embedder.embed([image] * 3)[0], vectors, atol=1e-5)
    detector.close()
    embedder.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("narrow")]
