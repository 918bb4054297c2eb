"""Cells, budgets, chunks and prefixes: arithmetic without llama.cpp."""

import random

import numpy as np
import pytest

from lmx_gguf.cells import Cells
from lmx_gguf.kv_budget import KvBudget, cells_for
from lmx_gguf.prefix_cache import PrefixCache
from lmx_gguf.schedule import Pace, shares


def test_shared_cells_count_once() -> None:
    cells = Cells()
    cells.extend(1, 100)
    cells.fork(1, 2, 60)
    cells.extend(2, 10)
    cells.extend(1, 5)

    assert cells.used == 115
    assert cells.used_by([2]) == 70
    cells.drop(1)
    assert cells.used == 70
    cells.cut(2, 65)
    assert cells.used == 65
    cells.drop(2)
    cells.drop(2)
    assert cells.used == 0


def test_random_forks_count_like_sets_of_cells() -> None:
    """Against a model that gives every cell a number."""
    draw = random.Random(4)
    cells, fresh = Cells(), iter(range(10**9))
    held: dict[int, list[int]] = {}
    for _ in range(3000):
        action, sequence = draw.choice("effcd"), draw.randrange(8)
        if action == "e" and (sequence in held or draw.random() < 0.5):
            held[sequence] = [*held.get(sequence, []), *(next(fresh) for _ in range(draw.randint(1, 9)))]
            cells.extend(sequence, len(held[sequence]) - len(cells_of(cells, sequence)))
        elif action == "f" and sequence in held and sequence + 8 not in held and held[sequence]:
            length = draw.randint(1, len(held[sequence]))
            held[sequence + 8] = held[sequence][:length]
            cells.fork(sequence, sequence + 8, length)
        elif action == "c" and sequence in held:
            length = draw.randint(0, len(held[sequence]))
            held[sequence] = held[sequence][:length]
            cells.cut(sequence, length)
        elif action == "d":
            number = draw.choice([sequence, sequence + 8])
            held.pop(number, None)
            cells.drop(number)
        assert cells.used == len({cell for chain in held.values() for cell in chain})
        some = [number for number in held if draw.random() < 0.5]
        assert cells.used_by(some) == len({cell for number in some for cell in held[number]})


def cells_of(cells: Cells, sequence: int) -> range:
    return range(sum(part.held[sequence] for part in cells._chains.get(sequence, [])))


def test_cells_follow_the_budget() -> None:
    assert cells_for(None, bytes_per_token=100, context_length=8192, rows=32) == 16384
    assert cells_for(None, bytes_per_token=100, context_length=300, rows=32) == 1280
    assert cells_for(None, bytes_per_token=100, context_length=8192, rows=1) == 8192
    assert cells_for(0.1, bytes_per_token=1000, context_length=8192, rows=32) == 99_840
    assert cells_for(1e-9, bytes_per_token=1000, context_length=8192, rows=32) == 256
    budget = KvBudget(cells=16384, bytes_per_token=100, context_length=8192)
    assert (budget.longest_row, budget.total_bytes, budget.cells_in(1050)) == (8192, 1_638_400, 10)


def test_the_oldest_prompt_gets_half_and_short_ones_go_first() -> None:
    assert shares([], 10) == []
    assert shares([100], 10) == [10]
    assert shares([100, 50, 2], 10) == [5, 3, 2]
    assert shares([3, 50, 2], 10) == [3, 5, 2]
    assert shares([100, 1], 10) == [9, 1]
    assert shares([100, 1, 1], 1) == [1, 0, 0]


def test_the_pace_follows_what_was_measured() -> None:
    pace = Pace(budget_s=0.025, idle_budget_s=0.25, tokens_per_s=1000)
    assert (pace.chunk_tokens(decoding=True), pace.chunk_tokens(decoding=False)) == (25, 250)

    pace.measured(0.02, prompt_tokens=0, decoding=True)
    assert pace.chunk_tokens(decoding=True) == 40  # two steps of 20 ms
    pace.measured(0.12, prompt_tokens=200, decoding=True)  # 200 tokens in the 100 ms beside a step
    assert pace.tokens_per_s == pytest.approx(1500)
    pace.measured(0.001, prompt_tokens=1000, decoding=False)
    assert pace.tokens_per_s == pytest.approx(2250)  # at most twice as fast from one step to the next


def test_prefixes_are_found_by_length_and_leave_by_use() -> None:
    cache = PrefixCache(most_entries=2, can_cut=True)
    one, two, three = (np.arange(100) + shift for shift in (0, 1000, 2000))
    assert cache.keep(1, list(one)) == []
    assert cache.keep(2, list(two)) == []

    found = cache.find(np.concatenate([one[:50], two]), {})
    assert found is not None
    assert (found.sequence, found.length) == (1, 50)
    cache.count(one, found)
    assert cache.keep(3, list(three)) == [2]
    assert cache.find(np.asarray(one), {7: one[:40]}) is not None
    assert cache.find(np.asarray(two), {}) is None
    cache.count(two, None)
    assert (cache.hits, cache.misses, cache.evictions) == (1, 1, 1)
    assert "no entry has more than 0 tokens" in str(cache.last_miss)


def test_what_an_entry_covers_is_not_kept_twice() -> None:
    cache = PrefixCache(most_entries=4, can_cut=True)
    cache.keep(1, list(range(100)))

    assert cache.keep(2, list(range(90))) == [2]
    assert cache.keep(3, list(range(120))) == [1]
    assert cache.keep(4, list(range(10))) == [4]
    assert len(cache) == 1


def test_states_are_shared_whole_or_not_at_all() -> None:
    cache = PrefixCache(most_entries=4, can_cut=False)
    cache.keep(1, list(range(100)))

    assert cache.find(np.arange(90), {}) is None
    whole = cache.find(np.arange(120), {})
    assert whole is not None
    assert whole.length == 100
    cache.count(np.arange(90), None)
    assert "whole entries only" in str(cache.last_miss)
