import asyncio
from typing import Any

import pytest
from attrs import define, field

from lmx.workers.frames import FrameError
from lmx.workers.handle import Deadly
from lmx.workers.piece_stream import MAX_HELD_CHARS, PieceStream
from lmx.workers.requests import Requests, Running
from lmx_hookspecs import GenerationRequest
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, TimedOut, Unavailable

END = {"finish_reason": "stop", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@define(eq=False)
class Sent:
    """Stands for a worker: what it was sent."""

    frames: list[tuple[Any, ...]] = field(factory=list)

    def __call__(self, *frame: Any) -> None:
        self.frames.append(frame)

    def ids(self, kind: str = "generate") -> list[int]:
        return [frame[1] for frame in self.frames if frame[0] == kind]


def submit(requests: Requests, *, stream: bool = True, timeout_s: float | None = None) -> Running[PieceStream]:
    return requests.submit(GenerationRequest(model="m", prompts=["x"], stream=stream, timeout_s=timeout_s))


async def error_of(running: Running[PieceStream]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  the caller says which
        await running.stream.get()
    return caught.value


def test_requests_wait_for_a_worker_and_go_in_order() -> None:
    requests, worker = Requests(), Sent()
    first, second = submit(requests), submit(requests)
    assert requests.waiting == 2

    requests.connect(worker)

    assert worker.ids() == [first.id, second.id]
    assert (requests.waiting, requests.running) == (0, 2)


async def test_pieces_reach_the_request_they_belong_to() -> None:
    requests, worker = Requests(), Sent()
    requests.connect(worker)
    first, second = submit(requests), submit(requests)

    requests.take_pieces([[second.id, 0, "b", 1], [first.id, 0, "a", 1], [99, 0, "of a cancelled one", 1]])

    assert (await first.stream.get()).text == "a"
    assert (await second.stream.get()).text == "b"


def test_a_complete_answer_is_forgotten() -> None:
    requests, worker = Requests(), Sent()
    requests.connect(worker)
    running = submit(requests)

    requests.take_pieces([[running.id, 0, "", 0, END]])
    requests.withdraw(running)

    assert requests.running == 0
    assert worker.ids("cancel") == []


def test_a_withdrawn_request_is_cancelled_in_the_worker() -> None:
    requests, worker = Requests(), Sent()
    requests.connect(worker)
    running = submit(requests)
    assert running.stream.progress.sent

    requests.withdraw(running)

    assert worker.ids("cancel") == [running.id]
    assert requests.running == 0


def test_a_request_withdrawn_while_it_waits_is_never_sent() -> None:
    requests, worker = Requests(), Sent()
    running = submit(requests)

    requests.withdraw(running)
    requests.connect(worker)

    assert worker.frames == []
    assert not running.stream.progress.sent


def test_after_a_death_the_suspects_go_in_one_at_a_time_before_the_others() -> None:
    requests, second_worker = Requests(), Sent()
    requests.connect(Sent())
    suspects = [submit(requests), submit(requests)]
    requests.disconnect("dead")
    fresh = submit(requests)

    requests.connect(second_worker)
    alone = second_worker.ids()
    requests.take_pieces([[suspects[0].id, 0, "", 0, END]])
    then = second_worker.ids()
    requests.take_pieces([[suspects[1].id, 0, "", 0, END]])

    assert alone == [suspects[0].id]
    assert then == [suspects[0].id, suspects[1].id]
    assert second_worker.ids()[-1] == fresh.id


def test_a_suspect_that_is_withdrawn_lets_the_others_in() -> None:
    requests, second_worker = Requests(), Sent()
    requests.connect(Sent())
    suspect = submit(requests)
    requests.disconnect("dead")
    fresh = submit(requests)
    requests.connect(second_worker)

    requests.withdraw(suspect)

    assert second_worker.ids() == [suspect.id, fresh.id]


async def test_the_request_that_kills_two_workers_fails_and_the_others_go_on() -> None:
    requests, third_worker = Requests(), Sent()
    requests.connect(Sent())
    killer, innocent = submit(requests), submit(requests)
    requests.disconnect("dead")
    requests.connect(Sent())

    requests.disconnect("dead again")
    requests.connect(third_worker)

    assert isinstance(await error_of(killer), Deadly)
    assert third_worker.ids() == [innocent.id]


async def test_a_request_whose_text_was_read_is_not_tried_again() -> None:
    requests, second_worker = Requests(), Sent()
    requests.connect(Sent())
    running = submit(requests)
    requests.take_pieces([[running.id, 0, "a", 1]])
    await running.stream.get()

    requests.disconnect("dead", "dead; it said so")
    requests.connect(second_worker)

    error = await error_of(running)
    assert isinstance(error, EngineFailed)
    assert error.message == "the engine died on this request: dead"
    assert error.detail == "the engine died on this request: dead; it said so"
    assert second_worker.ids() == []


async def test_text_that_nobody_read_is_made_again() -> None:
    requests = Requests()
    requests.connect(Sent())
    streamed, held = submit(requests), submit(requests, stream=False)
    for running in (streamed, held):
        requests.take_pieces([[running.id, 0, "of the first worker", 1]])
    requests.disconnect("dead")

    requests.connect(Sent())
    for running in (streamed, held):
        requests.take_pieces([[running.id, 0, "of the second", 1], [running.id, 0, "", 0, END]])

    assert (await streamed.stream.get()).text == "of the second"
    assert (await held.stream.get()).text == "of the second"


async def test_a_request_that_waits_too_long_for_a_worker_times_out() -> None:
    requests = Requests()
    running = submit(requests, timeout_s=0.01)

    async with asyncio.timeout(5):
        error = await error_of(running)

    assert isinstance(error, TimedOut)
    assert requests.waiting == 0


async def test_a_caller_who_stopped_reading_costs_the_worker_nothing_more() -> None:
    requests, worker = Requests(), Sent()
    requests.connect(worker)
    running = submit(requests)

    requests.take_pieces([[running.id, 0, "x" * (MAX_HELD_CHARS + 1), 1]])

    assert isinstance(await error_of(running), TimedOut)
    assert worker.ids("cancel") == [running.id]


async def test_a_value_that_cannot_travel_fails_its_own_request() -> None:
    def refuse(*_: Any) -> None:
        raise FrameError("too large")

    requests = Requests()
    requests.connect(refuse)

    running = submit(requests)

    assert isinstance(await error_of(running), InvalidRequest)
    assert requests.running == 0


async def test_everything_ends_where_no_worker_will_come() -> None:
    requests = Requests()
    requests.connect(Sent())
    suspect = submit(requests)
    requests.disconnect("dead")
    waiting = submit(requests)

    requests.fail_all(Unavailable("quarantined"))

    assert isinstance(await error_of(suspect), Unavailable)
    assert isinstance(await error_of(waiting), Unavailable)
