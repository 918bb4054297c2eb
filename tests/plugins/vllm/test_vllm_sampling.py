"""The logits processor of a row, on MLX itself; vllm-mlx is not needed for it."""

from collections import Counter
from typing import Any

import mlx.core as mx
import pytest

from lmx_hookspecs import Sampling
from lmx_vllm.sampling import Filters, RowProcessor

LOGITS = mx.array([[2.0, 1.0, 0.0, -1.0, -2.0]])
PROMPT = [4, 0]


def likeliest(logits: Any) -> int:
    token: Any = mx.argmax(logits, axis=-1).item()
    return int(token)


def drawn(sampling: Sampling, count: int, logits: Any = LOGITS) -> list[int]:
    """The tokens that a greedy sampler takes behind the processor, each told to it before the next."""
    processor = RowProcessor.of(sampling, PROMPT)
    tokens = list(PROMPT)
    for _ in range(count):
        tokens.append(likeliest(processor(mx.array(tokens), logits)))
    return tokens[len(PROMPT) :]


def kept(filters: Filters) -> list[int]:
    return [index for index, value in enumerate(filters.apply(LOGITS)[0].tolist()) if value > float("-inf")]


def test_a_greedy_row_leaves_the_logits_alone() -> None:
    processor = RowProcessor.of(Sampling(temperature=0.0), PROMPT)

    assert processor(mx.array(PROMPT), LOGITS) is LOGITS


def test_one_seed_draws_one_row_of_tokens_and_others_draw_others() -> None:
    hot = [drawn(Sampling(temperature=2.0, seed=seed), 20) for seed in (1, 1, 2)]

    assert hot[0] == hot[1] != hot[2]


def test_draws_have_the_distribution_that_the_temperature_asks_for() -> None:
    counts = Counter(drawn(Sampling(temperature=2.0, seed=5), 4000))

    wanted = mx.softmax(LOGITS / 2.0, axis=-1)[0].tolist()
    assert [counts[token] / 4000 for token in range(5)] == pytest.approx(wanted, abs=0.03)


def test_filters_keep_the_likeliest() -> None:
    assert kept(Filters(top_p=0.5, min_p=None, top_k=None)) == [0]
    assert kept(Filters(top_p=0.7, min_p=None, top_k=None)) == [0, 1]
    assert kept(Filters(top_p=0.0, min_p=None, top_k=None)) == [0]
    assert kept(Filters(top_p=None, min_p=0.2, top_k=None)) == [0, 1]
    assert kept(Filters(top_p=None, min_p=None, top_k=3)) == [0, 1, 2]
    assert kept(Filters(top_p=None, min_p=None, top_k=99)) == [0, 1, 2, 3, 4]


def test_filters_reach_the_draws() -> None:
    assert set(drawn(Sampling(temperature=9.0, top_k=2, seed=1), 50)) == {0, 1}
    assert set(drawn(Sampling(temperature=9.0, top_p=0.5, seed=1), 50)) == {0}


def test_a_bias_moves_the_choice() -> None:
    assert drawn(Sampling(temperature=0.0, logit_bias={3: 100.0, 0: -100.0}), 2) == [3, 3]


def test_presence_and_frequency_look_at_the_answer_and_not_at_the_prompt() -> None:
    assert drawn(Sampling(temperature=0.0, presence_penalty=1.5), 3) == [0, 1, 0]
    assert drawn(Sampling(temperature=0.0, frequency_penalty=0.75), 4) == [0, 0, 1, 0]


def test_the_repetition_penalty_looks_at_the_prompt_too() -> None:
    assert drawn(Sampling(temperature=0.0, repetition_penalty=3.0), 2) == [1, 0]


def test_a_draw_in_sixteen_bits_is_one_of_the_tokens() -> None:
    assert set(drawn(Sampling(temperature=1.0, seed=3), 10, LOGITS.astype(mx.bfloat16))) <= set(range(5))
