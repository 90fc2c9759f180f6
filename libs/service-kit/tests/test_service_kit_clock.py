from datetime import UTC, datetime, timedelta

import pytest

from service_kit.clock import Clock, FakeClock, SystemClock


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()])
def test_now_is_aware_and_utc(clock: Clock):
    assert clock.now().utcoffset() == timedelta(0)


def test_the_system_clock_does_not_go_back():
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()


def test_a_fake_clock_moves_only_when_told():
    clock = FakeClock(datetime(2026, 5, 1, tzinfo=UTC))
    before = (clock.now(), clock.monotonic())
    assert (clock.now(), clock.monotonic()) == before
    clock.advance(timedelta(minutes=5))
    clock.advance(1.5)
    assert clock.now() == before[0] + timedelta(minutes=5, seconds=1.5)
    assert clock.monotonic() == before[1] + 301.5


def test_a_jump_moves_the_wall_clock_alone():
    clock = FakeClock()
    start = clock.now()
    clock.jump(timedelta(minutes=-10))
    assert clock.now() == start - timedelta(minutes=10)
    assert clock.monotonic() == 0


def test_a_fake_clock_refuses_naive_times_and_steps_back():
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 1, 1))  # noqa: DTZ001  the naive time is the point
    with pytest.raises(ValueError, match="forwards"):
        FakeClock().advance(-1)
