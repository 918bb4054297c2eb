"""From logits to tokens, on plain arrays."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from lmx_gguf.logprobs import log_softmax
from lmx_gguf.sampling import Draw, filtered, gumbel_noise
from lmx_hookspecs import Sampling, TokenPiece
from lmx_hookspecs.logprobs import with_logprobs

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.06, 0.04], np.float32))


def kept(**sampling: Any) -> list[int]:
    ids, values = filtered(LOGITS, Sampling(**sampling))
    assert ids is None or len(ids) == len(values)
    return list(range(len(LOGITS))) if ids is None else list(map(int, ids))


@pytest.mark.parametrize(
    ("sampling", "ids"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [0, 1]),
        ({"top_k": 5}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.8}, [0, 1, 2]),
        ({"top_p": 0.0}, [0]),
        ({"top_p": 0.5}, [0]),
        ({"min_p": 0.25}, [0, 1, 2]),
        ({"min_p": 1.0}, [0]),
        ({"top_k": 3, "top_p": 0.6, "min_p": 0.1}, [0, 1]),
    ],
)
def test_filters_keep_what_they_say(sampling: Any, ids: list[int]) -> None:
    assert kept(**sampling) == ids


def test_a_nucleus_of_a_flat_distribution_is_found_beyond_the_first_look() -> None:
    logits = np.zeros(5000, np.float32)

    ids, _ = filtered(logits, Sampling(top_p=0.9))

    assert len(ids) == 4500


def test_a_seed_draws_the_same_tokens_and_another_one_others() -> None:
    flat = np.zeros(1000, np.float32)

    def drawn(seed: int) -> list[int]:
        draw = Draw.of(Sampling(seed=seed), [])
        return [draw.pick(flat) for _ in range(20)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) > 15


def test_tokens_come_as_often_as_their_probability_says() -> None:
    draw = Draw.of(Sampling(seed=5, temperature=1.0), [])
    counts = Counter(draw.pick(LOGITS) for _ in range(20_000))

    for token, probability in enumerate(np.exp(LOGITS)):
        deviation = math.sqrt(20_000 * probability * (1 - probability))
        assert abs(counts[token] - 20_000 * probability) < 5 * deviation


def test_temperature_sharpens() -> None:
    draw = Draw.of(Sampling(seed=5, temperature=0.25), [])
    counts = Counter(draw.pick(LOGITS) for _ in range(5_000))
    sharpened = 0.5**4 / float((np.exp(LOGITS) ** 4).sum())

    assert abs(counts[0] / 5_000 - sharpened) < 0.03


def test_noise_is_of_the_right_kind() -> None:
    noise = gumbel_noise(3, np.arange(200_000, dtype=np.uint64))

    assert np.isfinite(noise).all()
    assert abs(noise.mean() - 0.5772) < 0.01
    assert abs(noise.var() - math.pi**2 / 6) < 0.03


def test_a_tiny_change_of_the_logits_rarely_changes_the_token() -> None:
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((500, 4000)).astype(np.float32)
    near = logits + rng.standard_normal(logits.shape).astype(np.float32) * 1e-4
    draws = [Draw.of(Sampling(seed=9), []) for _ in range(2)]

    pairs = [(draws[0].pick(one), draws[1].pick(other)) for one, other in zip(logits, near, strict=True)]

    assert sum(one != other for one, other in pairs) <= 2


def test_bias_and_penalties_change_the_logits_as_defined() -> None:
    sampling = Sampling(
        temperature=0, logit_bias={4: 10.0}, presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=2.0
    )
    draw = Draw.of(sampling, [0])
    assert draw.pick(draw.adjusted(LOGITS)) == 4
    draw.accept(1)
    draw.accept(1)

    changed = draw.adjusted(LOGITS)

    assert changed[0] == pytest.approx(LOGITS[0] * 2)  # in the prompt: repetition alone
    assert changed[1] == pytest.approx(LOGITS[1] * 2 - 0.5 - 2 * 0.25)
    assert changed[2] == LOGITS[2]
    assert changed[4] == pytest.approx((LOGITS[4] + 10.0) / 2 - 0.5 - 0.25)
    assert not draw.plain


def test_greedy_without_wishes_is_plain() -> None:
    assert Draw.of(Sampling(temperature=0), [1]).plain
    assert Draw.of(Sampling(temperature=1e-9, top_p=0.5), [1]).plain
    assert not Draw.of(Sampling(temperature=0.1), [1]).plain


def test_logprobs_are_those_of_the_model_best_first() -> None:
    piece = with_logprobs(TokenPiece(id=1, token=2), log_softmax(LOGITS + 3), 2)

    assert piece.logprob == pytest.approx(math.log(0.15), abs=1e-6)
    assert [token for token, _ in piece.top] == [0, 1]
    assert log_softmax(np.array([1e4, 0.0], np.float32)).max() <= 0
    assert with_logprobs(TokenPiece(id=1, token=2), log_softmax(LOGITS), 0).top == []
