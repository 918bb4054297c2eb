"""What a batch does first where there are rows that decode and prompts to read."""

from collections.abc import Sequence

import pytest

from lmx_mlx.adapter import Batch, Progress, greedy_sampler
from lmx_mlx.engine import MlxEngine
from mlx_support import prompt_of


@pytest.fixture
def batch(engine: MlxEngine) -> Batch:
    made = engine.new_batch()
    assert isinstance(made, Batch)
    made._generation.gives_first_alone = True  # as on the CPU, on whatever device this runs
    return made


def insert(batch: Batch, length: int, *, max_tokens: int = 20) -> int:
    """A greedy row with a random prompt; its key."""
    return batch.insert(
        prompt_of(length, seed=length),
        max_tokens=max_tokens,
        sampler=greedy_sampler,
        processors=(),
        reports_logprobs=False,
        layers=None,
        held=0,
    )


def drawn(batch: Batch, chunk_tokens: int) -> Sequence[int]:
    """Rows that one call gave a token."""
    return [response.uid for response in batch.next(chunk_tokens).drawn]


def drawn_to_the_end(batch: Batch) -> dict[int, list[int]]:
    """What each row draws until all have ended."""
    tokens: dict[int, list[int]] = {}
    while batch.decoding or batch.reads:
        for response in batch.next(100).drawn:
            tokens.setdefault(response.uid, []).append(response.token)
    return tokens


def test_a_row_draws_at_the_call_after_its_prompt_is_through(batch: Batch) -> None:
    key = insert(batch, 31)

    assert batch.next(100).prefilled == [key]
    assert drawn(batch, 100) == [key]


def test_a_prompt_of_one_token_is_not_read_before_its_row_draws(batch: Batch) -> None:
    key = insert(batch, 1)

    assert batch.next(100).prompt_tokens == 0
    assert drawn(batch, 100) == [key]


def test_steps_and_chunks_take_turns(batch: Batch) -> None:
    running = insert(batch, 10)
    batch.next(100)
    insert(batch, 81)

    calls = [batch.next(40) for _ in range(6)]

    assert [[response.uid for response in call.drawn] for call in calls[:4]] == [[running], [], [running], []]
    assert [call.prompt_tokens for call in calls] == [0, 40, 0, 40, 0, 0]
    assert len(calls[4].drawn) == 2


def test_a_row_whose_prompt_is_through_draws_before_others_are_read(batch: Batch) -> None:
    first, second = insert(batch, 31), insert(batch, 32)

    assert batch.next(40).prefilled == [first]
    assert drawn(batch, 40) == [first]
    assert batch.next(40).prefilled == [second]
    assert drawn(batch, 40) == [first, second]


def test_the_first_token_is_given_out_before_a_step_is_launched(batch: Batch) -> None:
    key = insert(batch, 31)
    batch.next(100)

    progress = batch.next(100)
    layers, held = batch.layers_of(key)

    assert [response.uid for response in progress.drawn] == [key]
    assert held == prompt_of(31, seed=31)
    assert {layer.size() for layer in layers} == {31}


def test_where_launching_is_quick_the_next_step_is_launched_first(batch: Batch) -> None:
    batch._generation.gives_first_alone = False
    key = insert(batch, 31)
    batch.next(100)

    (first,) = batch.next(100).drawn
    layers, held = batch.layers_of(key)

    assert held == [*prompt_of(31, seed=31), first.token]
    assert {layer.size() for layer in layers} == {32}


@pytest.mark.parametrize("steps_before", range(4))
def test_a_row_draws_the_same_whenever_another_joins_it(batch: Batch, steps_before: int) -> None:
    alone: dict[int, list[int]] = {}
    for length in (31, 22):
        key = insert(batch, length)
        alone[length] = drawn_to_the_end(batch)[key]

    first = insert(batch, 31)
    begun = [response.token for _ in range(1 + steps_before) for response in batch.next(100).drawn]
    second = insert(batch, 22)
    together = drawn_to_the_end(batch)

    assert [*begun, *together[first]] == alone[31]
    assert together[second] == alone[22]


def test_one_of_the_rows_can_be_removed_between_their_first_tokens_and_the_step_of_them(batch: Batch) -> None:
    kept = insert(batch, 22)
    alone = drawn_to_the_end(batch)[kept]
    removed, kept = insert(batch, 31), insert(batch, 22)
    batch.next(100)
    first = {response.uid: response.token for response in batch.next(100).drawn}

    batch.remove(removed)

    assert [first[kept], *drawn_to_the_end(batch)[kept]] == alone


def test_a_row_of_one_token_ends_with_the_cache_of_its_prompt(batch: Batch) -> None:
    insert(batch, 31, max_tokens=1)
    batch.next(100)

    (only,) = batch.next(100).drawn

    assert only.finish_reason == "length"
    assert only.all_tokens == prompt_of(31, seed=31)
    assert {layer.size() for layer in only.prompt_cache} == {31}


def test_a_row_begins_after_all_others_have_ended_with_their_first_tokens(batch: Batch) -> None:
    key = insert(batch, 81)
    alone = drawn_to_the_end(batch)[key]
    insert(batch, 10, max_tokens=1)
    key = insert(batch, 81)

    while not batch.next(40).drawn:
        pass
    assert (batch.decoding, batch.reads) == (0, True)
    assert drawn_to_the_end(batch)[key] == alone


def test_rows_of_one_token_that_overlap_leave_nothing_behind(batch: Batch) -> None:
    for length in range(30, 50):
        insert(batch, length, max_tokens=1)

    drawn_to_the_end(batch)
    insert(batch, 30, max_tokens=1)
    drawn_to_the_end(batch)

    assert batch._generation._current_tokens.size <= 2


def test_the_calls_in_which_rows_begin_are_no_measure_of_a_step(batch: Batch) -> None:
    insert(batch, 31)

    assert [bool(batch.next(100).begun) for _ in range(5)] == [False, True, True, False, False]


def test_the_rows_that_a_chunk_takes_are_read_together(batch: Batch) -> None:
    keys = [insert(batch, 31), insert(batch, 31), insert(batch, 31)]

    progress = batch.next(65)

    assert progress.prompt_tokens == 60
    assert progress.prefilled == keys[:2]


def test_a_prompt_longer_than_the_chunk_is_read_in_several(batch: Batch) -> None:
    key = insert(batch, 31)

    chunks = [batch.next(12) for _ in range(3)]

    assert [chunk.prompt_tokens for chunk in chunks] == [12, 12, 6]
    assert [chunk.prefilled for chunk in chunks] == [[], [], [key]]


def test_rows_that_are_through_leave_one_that_is_not(batch: Batch) -> None:
    short, long = insert(batch, 11), insert(batch, 51)
    batch.next(80)  # 40 each: the short one is through

    assert drawn(batch, 80) == [short]
    assert batch.next(80).prefilled == [long]
    assert drawn(batch, 80) == [short, long]


def test_a_row_that_is_through_can_be_removed_before_it_draws(batch: Batch) -> None:
    kept, removed = insert(batch, 31), insert(batch, 30)
    batch.next(100)

    batch.remove(removed)

    assert drawn(batch, 100) == [kept]


def test_what_all_rows_have_read_is_handed_over_and_not_copied(batch: Batch) -> None:
    insert(batch, 31)
    batch.next(100)
    read = batch._generator._prompt_batch.prompt_cache[0]

    batch.next(100)

    assert batch._generation.prompt_cache[0] is read
    assert len(batch._generator._prompt_batch) == 0


def test_rows_with_nothing_to_read_leave_the_chunk_to_the_others(batch: Batch) -> None:
    reader = insert(batch, 61)
    for _ in range(3):
        insert(batch, 1)

    assert batch.next(64).prefilled == [reader]


def test_a_lane_learns_from_steps_that_only_decode(engine: MlxEngine) -> None:
    lanes = engine._lanes
    lane = lanes._open(closed=False)

    def learned(progress: Progress, *, decoding: int) -> bool:
        before = lane.step.value
        lane.end_step(progress, decoding)
        lane.charge(1.0 + before, 1.0)
        lane.begin_step()
        return lane.step.value != before

    assert learned(Progress(), decoding=0)
    assert not learned(Progress(begun=1), decoding=0)  # as when one row begins and another ends
    assert not learned(Progress(prompt_tokens=40, prompt_s=0.01), decoding=0)
    insert(lane.batch, 31)
    assert not learned(Progress(), decoding=0)  # what it began is waited for with the prompt


def test_the_pace_is_that_of_the_chunk_alone(engine: MlxEngine) -> None:
    lane = engine._lanes._open(closed=False)
    lane.pace.tokens_per_s = 1000.0
    lane.step.add(5.0)

    for _ in range(30):
        lane.end_step(Progress(prompt_tokens=100, prompt_s=0.05), decoding=4)

    assert lane.pace.tokens_per_s == pytest.approx(2000.0, rel=0.01)
