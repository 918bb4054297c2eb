from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models.cache import ArraysCache, KVCache

from lmx_mlx.config import MlxConfig
from lmx_mlx.engine import MlxEngine
from lmx_mlx.prefix_cache import PrefixCache
from mlx_support import engine_of, prompt_of, request_of
from step_engine_support import drain, run

BYTES_PER_TOKEN = 2 * 4 + 4
"""One head of one float32 for keys and for values, and the id."""


def layers_of(length: int) -> list[Any]:
    layer = KVCache()
    layer.update_and_fetch(mx.ones((1, 1, length, 1)), mx.ones((1, 1, length, 1)))
    layer.keys, layer.values = layer.keys[..., :length, :], layer.values[..., :length, :]
    return [layer]


def untrimmable_layers() -> list[Any]:
    layer = ArraysCache(1)
    layer[0] = mx.ones((1, 8))
    return [layer]


def test_the_longest_common_beginning_is_found_and_one_token_left() -> None:
    cache = PrefixCache(max_bytes=1_000_000)
    cache.put(range(100), layers_of(100))
    cache.put([*range(50), 900, 901], layers_of(52))

    for prompt, expected in (
        (range(100), 99),
        (range(200), 100),
        ([*range(70), 7, 7], 70),
        ([*range(50), 900, 901, 902], 52),
        (range(5, 105), 0),
        (range(10), 0),
    ):
        layers, held = cache.find(list(prompt))
        assert held == expected
        assert (layers is None) == (expected == 0)
        assert layers is None or layers[0].offset == expected
    assert (cache.hits, cache.misses) == (4, 1)


def test_a_found_cache_is_a_copy_that_may_be_written_to() -> None:
    cache = PrefixCache(max_bytes=1_000_000)
    cache.put(range(100), layers_of(100))
    layers, _ = cache.find(list(range(60)))
    assert layers is not None

    layers[0].update_and_fetch(mx.zeros((1, 1, 5, 1)), mx.zeros((1, 1, 5, 1)))
    again, held = cache.find(list(range(100)))

    assert again is not None
    assert held == 99
    assert mx.all(again[0].keys == 1).item()


def test_the_least_recently_used_entry_leaves_when_the_bytes_run_out() -> None:
    cache = PrefixCache(max_bytes=2 * 100 * BYTES_PER_TOKEN)
    first, second, third = ([n, *range(99)] for n in (1000, 2000, 3000))
    cache.put(first, layers_of(100))
    cache.put(second, layers_of(100))
    cache.find(first)

    cache.put(third, layers_of(100))

    assert cache.size_bytes == 2 * 100 * BYTES_PER_TOKEN
    assert cache.evictions == 1
    assert [cache.find(tokens)[1] for tokens in (first, second, third)] == [99, 0, 99]


def test_an_entry_larger_than_the_cache_is_not_kept() -> None:
    cache = PrefixCache(max_bytes=99 * BYTES_PER_TOKEN)

    cache.put(range(100), layers_of(100))

    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_longer_conversation_replaces_its_own_beginning() -> None:
    cache = PrefixCache(max_bytes=1_000_000)
    cache.put(range(50), layers_of(50))
    cache.put(range(100), layers_of(100))
    cache.put(range(70), layers_of(70))

    assert len(cache) == 1
    assert cache.size_bytes == 100 * BYTES_PER_TOKEN
    assert cache.evictions == 0


def test_states_that_cannot_be_trimmed_serve_whole_or_not_at_all() -> None:
    cache = PrefixCache(max_bytes=1_000_000)
    cache.put(range(40), untrimmable_layers())

    assert cache.find(list(range(60)))[1] == 40
    assert cache.find(list(range(40)))[1] == 0
    assert cache.find([*range(39), 900, 901])[1] == 0


def test_a_continued_conversation_hits_and_answers_as_a_cold_one(model_folder: Path) -> None:
    engine, cold = engine_of(model_folder), engine_of(model_folder, prefix_cache_enabled=False)
    opening = prompt_of(120)
    answer = run(engine, [request_of(opening, max_tokens=20)])[0].tokens
    continued = [*opening, *answer, *prompt_of(15, seed=2)]

    (warm,) = run(engine, [request_of(continued, max_tokens=20)])
    (fresh,) = run(cold, [request_of(continued, max_tokens=20)])

    assert warm.tokens == fresh.tokens
    assert warm.cached_tokens == len(opening) + len(answer)
    assert fresh.cached_tokens == 0
    assert [piece.cached_tokens for piece in warm.pieces[1:]] == [0] * (len(warm.pieces) - 1)


def test_the_same_prompt_again_computes_one_token(engine: MlxEngine) -> None:
    prompt = prompt_of(200)

    first, second = (run(engine, [request_of(prompt, max_tokens=10)])[0] for _ in range(2))

    assert (first.cached_tokens, second.cached_tokens) == (0, 199)
    assert first.tokens == second.tokens


def test_hits_and_misses_share_a_batch(engine: MlxEngine) -> None:
    prompts = [prompt_of(90, seed=1), prompt_of(140, seed=2), prompt_of(60, seed=3)]
    cold = [run(engine, [request_of(prompt, max_tokens=10)])[0].tokens for prompt in prompts[:2]]

    results = run(engine, [request_of(prompt, max_tokens=10) for prompt in prompts])

    assert [result.cached_tokens for result in results] == [89, 139, 0]
    assert [result.tokens for result in results[:2]] == cold


def test_a_cancelled_row_leaves_what_it_computed(engine: MlxEngine) -> None:
    prompt = prompt_of(100)
    engine.add(1, request_of(prompt, max_tokens=50))
    while not engine.step():
        pass

    engine.cancel(1)
    (again,) = run(engine, [request_of(prompt, max_tokens=3)])

    assert again.cached_tokens == 99


def test_short_rows_are_not_kept(engine: MlxEngine) -> None:
    run(engine, [request_of(prompt_of(20), max_tokens=5)])

    assert engine.describe().details["cache"]["entries"] == 0


def test_entries_go_when_the_room_shrinks_and_come_back_when_it_grows() -> None:
    cache = PrefixCache(max_bytes=200 * BYTES_PER_TOKEN)
    for start in (0, 1000):
        cache.put(range(start, start + 100), layers_of(100))

    cache.keep_within(150 * BYTES_PER_TOKEN)
    cache.put(range(2000, 2151), layers_of(151))
    shrunk = len(cache), cache.find(list(range(1000, 1100)))[1]
    cache.keep_within(1000 * BYTES_PER_TOKEN)
    cache.put(range(3000, 3100), layers_of(100))
    cache.put(range(4000, 4100), layers_of(100))

    assert shrunk == (1, 99)
    assert cache.size_bytes == cache.max_bytes
    assert cache.evictions == 2


def test_the_engine_stays_within_the_configured_bytes(model_folder: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(prefix_cache_bytes=200_000))

    for seed in range(6):
        run(engine, [request_of(prompt_of(150, seed=seed), max_tokens=5)])
    facts = engine.describe().details["cache"]

    assert 0 < facts["bytes"] <= 200_000
    assert facts["evictions"] == 6 - facts["entries"]
    assert facts["misses"] == 6


@pytest.mark.parametrize("options", [{"prefix_cache_enabled": False}, {"config": MlxConfig(prefix_cache_bytes=0)}])
def test_without_a_prefix_cache_nothing_is_kept_or_promised(model_folder: Path, options: dict[str, Any]) -> None:
    engine = engine_of(model_folder, **options)

    results = [run(engine, [request_of(prompt_of(90), max_tokens=3)])[0] for _ in range(2)]

    assert [result.cached_tokens for result in results] == [0, 0]
    assert "prefix_cache" not in engine.describe().capabilities
    assert engine.describe().details["cache"] is None


def test_choices_of_one_prompt_share_its_prefill(engine: MlxEngine) -> None:
    prompt = prompt_of(300)

    results = run(engine, [request_of(prompt, max_tokens=10) for _ in range(3)])

    assert [result.cached_tokens for result in results] == [0, 299, 299]
    assert results[0].tokens == results[1].tokens == results[2].tokens


def test_a_row_that_waited_for_a_cancelled_twin_goes_on_alone(engine: MlxEngine) -> None:
    prompt = prompt_of(2000)
    engine.add(1, request_of(prompt, max_tokens=3))
    engine.add(2, request_of(prompt, max_tokens=3))
    engine.step()

    engine.cancel(1)
    pieces = drain(engine)

    assert [piece.id for piece in pieces] == [2, 2, 2]


def test_a_miss_says_why_in_words() -> None:
    cache = PrefixCache(max_bytes=2 * 100 * BYTES_PER_TOKEN)
    told: list[str | None] = [cache.last_miss]

    def ask(prompt: list[int]) -> None:
        cache.find(prompt)
        told.append(cache.last_miss)

    ask(list(range(90)))
    cache.put(range(100), layers_of(100))
    ask([*range(12), *range(500, 590)])
    ask(list(range(20)))
    for start in (1000, 2000):
        cache.put(range(start, start + 100), layers_of(100))
    ask(list(range(90)))
    cache.keep(range(5000, 5040), layers_of(40))
    ask(list(range(5000, 5040)))
    cache.put(range(7000, 7400), layers_of(400))
    ask(list(range(7000, 7400)))

    assert told == [
        None,
        "the cache is empty",
        "no entry shares the first 32 tokens; the nearest diverges at token 12",
        "the prompt has 20 tokens; prompts of up to 32 are computed anew",
        "an entry with the same first 32 tokens is gone: it was evicted to make room",
        "an entry with the same first 32 tokens is gone: rows shorter than 64 tokens are not kept",
        "an entry with the same first 32 tokens is gone: its 4800 bytes did not fit into 2400",
    ]
    assert cache.misses == 5


def test_a_state_that_serves_whole_only_says_so() -> None:
    cache = PrefixCache(max_bytes=1_000_000)
    cache.put(range(40), untrimmable_layers())

    cache.find([*range(39), 900, 901])

    assert cache.last_miss == "the nearest entry shares 39 tokens, and caches of this model can only be used whole"


def test_the_engine_tells_of_its_cache(engine: MlxEngine) -> None:
    run(engine, [request_of(prompt_of(40), max_tokens=2)])
    run(engine, [request_of(prompt_of(40), max_tokens=2)])
    facts = engine.describe().details["cache"]

    assert {"hits", "misses", "bytes", "entries", "evictions", "last_miss", "disk"} <= facts.keys()
    assert "rows shorter than 64 tokens are not kept" in facts["last_miss"]
    assert (facts["hits"], facts["misses"], facts["entries"], facts["disk"]) == (0, 2, 0, None)
