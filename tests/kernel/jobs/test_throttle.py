import asyncio

from lmx.jobs.throttle import Throttle
from worker_support import until


async def test_the_first_call_acts_at_once_and_what_comes_too_early_is_made_up_for_once() -> None:
    acts: list[int] = []
    throttle = Throttle(lambda: acts.append(len(acts)), 0.05)

    for _ in range(3):
        throttle()
    at_once = len(acts)
    await until(lambda: len(acts) == 2)
    await asyncio.sleep(0.1)

    assert at_once == 1
    assert len(acts) == 2


async def test_a_closed_throttle_owes_nothing() -> None:
    acts: list[int] = []
    throttle = Throttle(lambda: acts.append(len(acts)), 0.01)
    throttle()
    throttle()

    throttle.close()
    await asyncio.sleep(0.05)

    assert len(acts) == 1
