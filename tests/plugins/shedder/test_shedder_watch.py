import asyncio
from collections.abc import Callable
from threading import Event

from attrs import define, field

from kernel_support import until
from lmx_hookspecs.testing import FakeLogger
from lmx_shedder.watch import IDLE_PERIODS, STALE_PERIODS, Watch


@define(eq=False)
class Seen:
    """What a watch has told."""

    percents: list[float | None] = field(factory=list)
    lags_s: list[float] = field(factory=list)
    slept: int = 0
    log: FakeLogger = field(factory=FakeLogger)

    def watch(self, read: Callable[[], float] = lambda: 50.0, period_s: float = 0.001) -> Watch:
        return Watch(read, self.percents.append, self.lags_s.append, self._fell_asleep, self.log, period_s)

    def _fell_asleep(self) -> None:
        self.slept += 1


async def test_the_first_reading_can_be_waited_for() -> None:
    seen = Seen()
    watch = seen.watch(period_s=60)

    watch.wake()
    await watch.first_reading()

    assert (seen.percents, watch.fresh) == ([50.0], True)


async def test_a_reading_that_takes_long_is_waited_for_only_so_long_and_never_doubled() -> None:
    seen, finish, began = Seen(), Event(), []

    def read() -> float:
        began.append(1)
        finish.wait(20)
        return 70.0

    watch = seen.watch(read, period_s=0.1)
    watch.wake()
    await watch.first_reading()
    before = list(seen.percents)
    watch.asked = True
    finish.set()
    await until(lambda: bool(seen.percents))

    assert (before, len(began)) == ([], 1)
    assert seen.percents[0] == 70.0


async def test_it_looks_again_and_again_while_requests_come_and_sleeps_when_none_do() -> None:
    seen = Seen()
    watch = seen.watch()
    watch.wake()

    for _ in range(3 * IDLE_PERIODS):
        watch.asked = True
        count = len(seen.lags_s)
        await until(lambda count=count: len(seen.lags_s) > count)  # type: ignore[misc]
    slept_while_asked = seen.slept
    await until(lambda: not watch.awake)
    looks = len(seen.lags_s)
    await asyncio.sleep(0.01)

    assert slept_while_asked == 0
    assert (seen.slept, len(seen.lags_s)) == (1, looks)
    assert looks >= 4 * IDLE_PERIODS - 1


async def test_it_can_be_woken_again_and_is_not_fresh_before_it_has_read() -> None:
    seen = Seen()
    watch = seen.watch()
    watch.wake()
    await until(lambda: not watch.awake)

    watch.wake()
    fresh_at_once = watch.fresh
    await watch.first_reading()

    assert (fresh_at_once, watch.fresh, watch.awake) == (False, True, True)


async def test_a_loop_that_is_held_up_shows() -> None:
    seen = Seen()
    loop = asyncio.get_running_loop()
    seen.watch().wake()

    held_until = loop.time() + 0.05
    while loop.time() < held_until:
        pass
    await until(lambda: bool(seen.lags_s))

    assert 0.04 < seen.lags_s[0] < 20


async def test_memory_that_cannot_be_read_is_told_once_and_the_loop_is_still_watched() -> None:
    seen = Seen()

    def read() -> float:
        raise OSError("no such thing")

    watch = seen.watch(read)
    watch.wake()
    await until(lambda: not watch.awake)

    told = [(level, event) for level, event, _ in seen.log.lines]
    assert told == [("error", "memory_not_read"), ("error", "memory_unknown")]
    assert watch.fresh
    assert len(seen.lags_s) >= IDLE_PERIODS


async def test_memory_that_can_no_longer_be_read_is_unknown_until_it_can_be_read_again() -> None:
    seen = Seen()
    readings = iter([99.0, *[None] * (2 * STALE_PERIODS), 50.0])

    def read() -> float:
        percent = next(readings, 50.0)
        if percent is None:
            raise OSError("no such thing")
        return percent

    watch = seen.watch(read)
    watch.wake()
    while 50.0 not in seen.percents:
        watch.asked = True
        count = len(seen.lags_s)
        await until(lambda count=count: len(seen.lags_s) > count)  # type: ignore[misc]

    assert seen.percents[:3] == [99.0, None, 50.0]
    assert ("error", "memory_unknown") in [line[:2] for line in seen.log.lines]


async def test_a_reading_that_hangs_leaves_memory_unknown_too() -> None:
    seen, finish = Seen(), Event()

    def read() -> float:
        finish.wait(20)
        return 70.0

    watch = seen.watch(read)
    watch.wake()
    await until(lambda: bool(seen.percents))
    finish.set()
    await until(lambda: len(seen.percents) > 1)

    assert seen.percents[:2] == [None, 70.0]
