"""What admission costs: the policies `fifo` and `priority`, without contention and with waiters.

    python tests/benchmarks/bench_scheduler.py [--rounds 5]

Prints medians of microseconds a request. Waiters are of 50 keys, each a client of its own, in all three classes; what
is measured of them contains the tasks that they are.
"""

import argparse
import asyncio
import statistics
from collections.abc import Callable, Coroutine
from importlib import import_module
from time import monotonic, perf_counter

from lmx_hookspecs import Scheduler, Ticket
from lmx_hookspecs.generation import Priority
from lmx_hookspecs.testing import FakeContext, check_plugin

REQUESTS = 20_000
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
Measure = Callable[[Scheduler], Coroutine[None, None, float]]


def opened(module: str) -> Scheduler:
    """The plugin's scheduler, with room for all waiters."""
    offers = check_plugin(import_module(module))
    (config,), (spec,) = offers["lmx_config"], offers["lmx_schedulers"]
    scheduler: Scheduler = spec.open(FakeContext(config=config.cls(max_queue=10_000, max_wait_s=600)))
    return scheduler


def ticket(number: int, limit: int = 32) -> Ticket:
    """One of 50 keys, with a client of its own."""
    return Ticket(
        model="m",
        resident=True,
        limit=limit,
        key=f"key {number % 50}",
        client=f"client {number}",
        priority=PRIORITIES[number % 3],
        deadline=monotonic() + 300,
    )


async def uncontended(scheduler: Scheduler) -> float:
    """Admitted and released one after the other; microseconds each."""
    same = ticket(0)
    began = perf_counter()
    for _ in range(REQUESTS):
        async with scheduler.admit(same):
            pass
    return (perf_counter() - began) / REQUESTS * 1e6


async def waiting(scheduler: Scheduler, count: int) -> float:
    """All come while one runs, and then get their turns one by one; microseconds each."""

    async def pass_through(number: int) -> None:
        async with scheduler.admit(ticket(number, limit=1)):
            pass

    began = perf_counter()
    async with scheduler.admit(ticket(0, limit=1)):
        tasks = [asyncio.create_task(pass_through(number)) for number in range(count)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return (perf_counter() - began) / count * 1e6


def with_waiters(count: int) -> Measure:
    """A measure of so many."""
    return lambda scheduler: waiting(scheduler, count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    measures: dict[str, Measure] = {
        "no contention": uncontended,
        **{f"{count} waiters": with_waiters(count) for count in (10, 100, 1000, 4000)},
    }
    policies = {"fifo": "lmx_fifo", "priority": "lmx_priority"}
    print(f"{'µs a request':<16}" + "".join(f"{name:>10}" for name in policies))
    for name, measure in measures.items():
        medians = [
            statistics.median(asyncio.run(measure(opened(module))) for _ in range(rounds))
            for module in policies.values()
        ]
        print(f"{name:<16}" + "".join(f"{median:>10.1f}" for median in medians))


if __name__ == "__main__":
    main()
