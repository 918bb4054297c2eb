from collections.abc import Callable, Sequence

import pytest
from attrs import define, field

from kernel_support import Clock
from lmx.workers import vectors
from lmx.workers.embedding_desk import BESIDE_ROWS_S, BY_ITSELF_S, FIRST_TOKENS, EmbeddingDesk, Work
from lmx_hookspecs.errors import EngineFailed


@define(eq=False)
class Embedder:
    """Gives an input its length as its vector, at so many tokens a second, padding included."""

    clock: Clock
    tokens_per_s: float = 10_000.0
    batches: list[list[int]] = field(factory=list)
    forget: Callable[[int], int] = lambda count: count

    def embed(self, inputs: Sequence[Sequence[int]]) -> Sequence[Sequence[float]]:
        self.batches.append([len(tokens) for tokens in inputs])
        self.clock.now_s += len(inputs) * max(map(len, inputs)) / self.tokens_per_s
        return [[float(len(tokens))] for tokens in inputs[: self.forget(len(inputs))]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(*lengths: int, request_id: int = 1) -> Work:
    return Work(request_id, [[0] * length for length in lengths], None)


def run(desk: EmbeddingDesk, engine: Embedder, *, beside_rows: bool = False) -> list[int]:
    """Serve all that is at the desk; the requests in the order of their turns."""
    turns = []
    while desk.busy:
        turn = desk.turn()
        turns.append(turn.id)
        desk.embed(turn, engine, beside_rows=beside_rows)
        if turn.done:
            desk.drop(turn.id)
    return turns


def test_inputs_of_about_one_length_go_together_and_keep_their_places(clock: Clock) -> None:
    desk, engine, wanted = EmbeddingDesk(clock), Embedder(clock), work(400, 3, 500, 4)
    desk.put(wanted)

    first = desk.embed(wanted, engine, beside_rows=False)

    assert engine.batches == [[3, 4]]
    assert [(place, list(vectors.from_wire(sent))) for place, sent in first] == [(1, [3.0]), (3, [4.0])]
    assert not wanted.done


def test_the_first_batch_is_a_guess_and_the_others_follow_what_it_took(clock: Clock) -> None:
    beside, alone = Embedder(clock), Embedder(clock)

    for engine, rows in ((beside, True), (alone, False)):
        desk = EmbeddingDesk(clock)
        desk.put(work(*[100] * 40))
        run(desk, engine, beside_rows=rows)

    assert len(beside.batches[0]) == len(alone.batches[0]) == FIRST_TOKENS // 100
    assert len(beside.batches[1]) == int(beside.tokens_per_s * BESIDE_ROWS_S) // 100
    assert len(alone.batches[1]) == int(alone.tokens_per_s * BY_ITSELF_S) // 100


def test_a_batch_is_never_more_than_a_frame_nor_less_than_one_input(clock: Clock) -> None:
    fast, slow = Embedder(clock, tokens_per_s=1e9), Embedder(clock, tokens_per_s=1.0)

    for engine in (fast, slow):
        desk = EmbeddingDesk(clock)
        desk.put(work(*[600] * 200))
        run(desk, engine)

    assert max(map(len, fast.batches)) == vectors.VECTORS_A_FRAME
    assert {len(batch) for batch in slow.batches} == {1}


def test_requests_take_turns(clock: Clock) -> None:
    desk, engine = EmbeddingDesk(clock), Embedder(clock, tokens_per_s=1.0)
    desk.put(work(600, 600, 600, request_id=1))
    desk.put(work(600, request_id=2))

    assert run(desk, engine) == [1, 2, 1, 1]


def test_one_that_is_dropped_is_forgotten(clock: Clock) -> None:
    desk = EmbeddingDesk(clock)
    desk.put(work(1))

    desk.drop(1)
    desk.drop(1)

    assert not desk.busy


def test_an_engine_that_forgets_an_input_has_failed(clock: Clock) -> None:
    desk, wanted = EmbeddingDesk(clock), work(1, 2)

    with pytest.raises(EngineFailed, match="1 vectors for 2 inputs"):
        desk.embed(wanted, Embedder(clock, forget=lambda count: count - 1), beside_rows=False)
