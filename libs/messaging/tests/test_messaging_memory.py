"""The memory bus passes the suite of every bus."""

import importlib.util
from pathlib import Path

import pytest

from messaging.memory import MemoryBus, matches

spec = importlib.util.spec_from_file_location(
    "messaging_bus_suite", Path(__file__).with_name("messaging_bus_suite.py")
)
suite = importlib.util.module_from_spec(spec)
spec.loader.exec_module(suite)


class TestMemoryBus(suite.BusSuite):
    @pytest.fixture
    async def make_bus(self):
        made = []

        async def make(topology):
            made.append(MemoryBus(topology))
            return made[-1]

        yield make
        for bus in made:
            await bus.close()


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#.c", "a.b.c", True),
        ("#", "anything.at.all", True),
        ("a.*.c", "a.b", False),
    ],
)
def test_topic_patterns_match_as_the_broker_does(pattern, key, fits):
    assert matches(pattern, key) is fits
