import pytest

from lmx.workers.outbox import Outbox
from lmx_hookspecs.errors import EngineFailed
from token_host_support import ScriptedSteps, hosted, script

FIRST, MIDDLE, LAST = (1, 0, "a", 1), (1, 0, "b", 1), (1, 0, "c", 1, {"finish_reason": "stop"})


def test_the_first_piece_of_a_row_leaves_at_once() -> None:
    outbox = Outbox(10.0)
    outbox.put(FIRST, urgent=True)

    assert outbox.due(0.0) == [FIRST]


def test_pieces_in_mid_answer_wait_for_the_interval_and_leave_together() -> None:
    outbox = Outbox(10.0)
    outbox.put(FIRST, urgent=True)
    outbox.due(0.0)

    sent = []
    for now_s in (4.0, 8.0, 12.0, 16.0):
        outbox.put(MIDDLE, urgent=False)
        sent.append(list(outbox.due(now_s)))

    assert sent == [[], [], [MIDDLE, MIDDLE, MIDDLE], []]


def test_the_end_of_one_row_takes_along_what_others_have_waiting() -> None:
    outbox = Outbox(10.0)
    outbox.put(FIRST, urgent=True)
    outbox.due(0.0)
    outbox.put(MIDDLE, urgent=False)

    outbox.put(LAST, urgent=True)

    assert outbox.due(1.0) == [MIDDLE, LAST]
    assert outbox.due(20.0) == ()


def test_steps_that_take_longer_than_the_interval_are_sent_each() -> None:
    outbox = Outbox(10.0)
    sent = []
    for now_s in (0.0, 11.0, 22.0):
        outbox.put(MIDDLE, urgent=False)
        sent.append(list(outbox.due(now_s)))

    assert sent == [[MIDDLE]] * 3


def test_without_an_interval_every_step_is_sent() -> None:
    outbox = Outbox(0.0)
    outbox.put(FIRST, urgent=True)
    outbox.due(0.0)

    outbox.put(MIDDLE, urgent=False)

    assert outbox.due(0.0) == [MIDDLE]


def test_an_engine_that_is_fast_has_its_tokens_travel_together_and_none_is_lost() -> None:
    engine = ScriptedSteps(script("abcdefgh"))

    with hosted(engine, outbox=Outbox(60.0)) as kernel:
        frames = list(kernel.answer_frames())

    assert ["".join(piece.text for piece in frame) for frame in frames] == ["a", "bcdefgh"]
    assert sum(piece.tokens for frame in frames for piece in frame) == 8


def test_what_waits_is_sent_before_the_failure_that_follows_it() -> None:
    engine = ScriptedSteps([{"token": 97}, {"token": 98}, {"finish_reason": "error", "error": "no more blocks"}])

    with hosted(engine, outbox=Outbox(60.0)) as kernel:
        frames = kernel.answer_frames()
        sent = [piece.text for piece in next(frames)] + [piece.text for piece in next(frames)]
        with pytest.raises(EngineFailed, match="no more blocks"):
            next(frames)

    assert sent == ["a", "b"]
