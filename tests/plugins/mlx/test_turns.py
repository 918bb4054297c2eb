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
