import asyncio

import pytest

from service_kit.health import Health


async def fine():
    return None


async def broken():
    raise ConnectionError("password=canary")


async def says_no():
    return False


async def hangs():
    await asyncio.Event().wait()


async def test_without_checks_a_process_is_ready():
    assert await Health().readiness() == (True, {})


@pytest.mark.parametrize("check", [broken, says_no, hangs])
async def test_one_failing_check_makes_it_unready_and_is_named(check):
    health = Health(check_timeout=0.01)
    health.add("broker", fine)
    health.add("database", check)
    assert await health.readiness() == (False, {"broker": "ok", "database": "failed"})
    assert health.state(ready=False) == "failing"


async def test_a_check_that_recovers_makes_it_ready_again():
    up = False

    async def check():
        return up

    health = Health()
    health.add("database", check)
    assert not (await health.readiness())[0]
    up = True
    assert (await health.readiness())[0]


async def test_a_starting_process_is_not_ready():
    health = Health()
    health.starting = True
    assert not (await health.readiness())[0]
    assert health.state(ready=False) == "starting"


async def test_a_draining_process_is_not_ready_and_tells_those_who_wait():
    health = Health()
    waiting = asyncio.create_task(health.wait_draining())
    await asyncio.sleep(0)
    assert not waiting.done()
    health.drain()
    await waiting
    assert health.draining
    assert not (await health.readiness())[0]
    assert health.state(ready=False) == "draining"


def test_two_checks_cannot_share_a_name():
    health = Health()
    health.add("database", fine)
    with pytest.raises(ValueError, match="database"):
        health.add("database", fine)
