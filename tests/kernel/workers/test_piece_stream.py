import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx.workers.piece_stream import MAX_HELD_CHARS, MAX_WAITING_PIECES, PieceStream, merged
from lmx.workers.progress import Progress
from lmx_hookspecs import Piece, TokenLogprob, Usage
from lmx_hookspecs.errors import EngineFailed, LmxError, TimedOut

USAGE = Usage(prompt_tokens=1, completion_tokens=1)
END = Piece(finish_reason="stop", usage=USAGE)


async def drain(stream: PieceStream) -> list[Piece]:
    pieces = [await stream.get()]
    while pieces[-1].usage is None:
        pieces.append(await stream.get())
    return pieces


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3)), min_size=1))
def test_merging_keeps_the_text_and_the_tokens_of_every_choice(made: list[tuple[int, str]]) -> None:
    pieces = [Piece(index=index, text=text, tokens=1) for index, text in made]

    together = merged([*pieces, END])

    for piece in together:
        assert piece.text == "".join(text for index, text in made if index == piece.index)
        assert piece.tokens == sum(index == piece.index for index, _ in made)
    assert [piece.usage for piece in together][-1] == USAGE
    assert len(together) == len({piece.index for piece in [*pieces, END]})


def test_merging_keeps_logprobs_and_the_reason_that_came_before_the_usage() -> None:
    logprobs = [TokenLogprob(text, text.encode(), -1.0) for text in "ab"]
    pieces = [
        Piece(text="a", logprobs=logprobs[:1]),
        Piece(text="b", logprobs=logprobs[1:], finish_reason="stop", stop="END"),
        Piece(usage=USAGE),
    ]

    (together,) = merged(pieces)

    assert (together.text, together.finish_reason, together.stop) == ("ab", "stop", "END")
    assert list(together.logprobs) == logprobs


async def test_a_caller_who_keeps_up_gets_every_piece() -> None:
    stream = PieceStream(hold=False)
    caller = asyncio.create_task(drain(stream))
    for text in "abc":
        await asyncio.sleep(0)
        stream.put(Piece(text=text, tokens=1))
    stream.put(END)

    pieces = await caller

    assert [piece.text for piece in pieces] == ["a", "b", "c", ""]


async def test_a_slow_caller_gets_the_same_text_in_larger_pieces() -> None:
    stream = PieceStream(hold=False)
    for number in range(20 * MAX_WAITING_PIECES):
        stream.put(Piece(index=number % 2, text=f"{number} ", tokens=1))
        assert len(stream._pieces) <= MAX_WAITING_PIECES + 2
    stream.put(END)

    pieces = await drain(stream)

    even = "".join(piece.text for piece in pieces if piece.index == 0)
    assert even == "".join(f"{number} " for number in range(0, 20 * MAX_WAITING_PIECES, 2))
    assert sum(piece.tokens for piece in pieces) == 20 * MAX_WAITING_PIECES


def test_a_caller_who_stopped_reading_is_cut_off() -> None:
    stream = PieceStream(hold=False)
    stream.put(Piece(text="x" * MAX_HELD_CHARS))

    with pytest.raises(TimedOut, match="not read"):
        stream.put(Piece(text="x"))


async def test_an_answer_that_is_held_comes_merged_at_the_end() -> None:
    stream = PieceStream(hold=True)
    caller = asyncio.create_task(drain(stream))
    for text in "abc":
        stream.put(Piece(text=text, tokens=1))
        await asyncio.sleep(0)
    assert not stream.handed_out
    stream.put(END)

    pieces = await caller

    assert [(piece.text, piece.tokens, piece.finish_reason) for piece in pieces] == [("abc", 3, "stop")]


async def test_an_error_comes_after_what_the_caller_has_not_read_yet() -> None:
    stream = PieceStream(hold=False)
    stream.put(Piece(text="a"))
    stream.put(Piece(text="b"))
    first = await stream.get()
    stream.fail(EngineFailed("dead"))

    second = await stream.get()

    assert (first.text, second.text) == ("a", "b")
    with pytest.raises(EngineFailed, match="dead"):
        await stream.get()


async def test_an_error_stands_alone_where_nothing_was_read() -> None:
    stream = PieceStream(hold=False)
    stream.put(Piece(text="a"))
    stream.fail(EngineFailed("dead"))

    with pytest.raises(EngineFailed, match="dead"):
        await stream.get()


def test_the_engine_s_end_of_the_matter_is_told_whether_or_not_anybody_reads() -> None:
    told: list[LmxError | None] = []
    complete, failed = (PieceStream(hold=False, progress=Progress(told.append)) for _ in range(2))

    complete.put(Piece(text="a"))
    before = list(told)
    complete.put(END)
    failed.fail(error := EngineFailed("dead"))

    assert before == []
    assert told == [None, error]


async def test_what_only_tells_of_the_prompt_is_no_part_of_the_answer() -> None:
    stream = PieceStream(hold=False)

    stream.put(Piece(prompt_tokens=7))
    before = (stream.progress.at_work, stream.progress.prompt_tokens)
    stream.put(Piece(text="a", tokens=1))

    assert before == (False, 7)
    assert (await stream.get()).text == "a"
    assert stream.progress.tokens == 1


def test_what_another_worker_makes_again_counts_once() -> None:
    stream = PieceStream(hold=True)
    for piece in (Piece(prompt_tokens=7), Piece(text="a", tokens=1)):
        stream.put(piece)

    stream.restart()

    assert (stream.progress.prompt_tokens, stream.progress.tokens) == (0, 0)


def test_what_has_come_shows_in_the_progress_although_it_is_held_back() -> None:
    stream = PieceStream(hold=True)

    before = stream.progress.at_work
    stream.put(Piece(text="a", tokens=1))

    assert (before, stream.progress.at_work) == (False, True)
