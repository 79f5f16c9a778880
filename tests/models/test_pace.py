import pytest

from models.pace import Pace
from tests.clocks import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace("detector", 2, clock)


def starve(pace, times):
    for _ in range(times):
        pace.note(1.0, 0.7)  # of two seconds that two threads may have


def test_all_threads_while_they_get_two_fifths_of_their_time(pace):
    for _ in range(9):
        pace.note(1.0, 0.8)
    assert pace.all_threads()


def test_half_of_them_after_three_starved_passes_in_a_row(pace):
    starve(pace, 2)
    pace.note(1.0, 1.9)
    starve(pace, 2)
    assert pace.all_threads()
    starve(pace, 1)
    assert not pace.all_threads()


def test_how_much_is_starved_is_a_matter_of_the_number_of_threads(clock):
    pace = Pace("detector", 10, clock)
    for _ in range(3):
        pace.note(1.0, 3.9)
    assert not pace.all_threads()


def test_all_get_another_trial_later_each_time(pace, clock):
    waits = []
    starve(pace, 3)
    for _ in range(7):
        began = clock.now
        while not pace.all_threads():
            clock.now += 0.5
        waits.append(clock.now - began)
        starve(pace, 1)
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_trial_that_goes_well_ends_it(pace, clock):
    starve(pace, 3)
    clock.now += 1
    pace.note(1.0, 1.5)
    assert pace.all_threads()
    starve(pace, 2)
    assert pace.all_threads()
    starve(pace, 1)
    assert not pace.all_threads()
    clock.now += 1  # not for longer than the first time
    assert pace.all_threads()


def test_the_log_says_so_once(pace, clock, caplog):
    caplog.set_level("INFO")
    starve(pace, 3)
    clock.now += 1
    starve(pace, 1)
    assert [record.getMessage() for record in caplog.records] == [
        "Other processes want the cores: a pass of the detector had 35 % of the time of 2 threads. "
        "Half of them run for a while."
    ]
