import math
from collections import Counter

import mlx.core as mx
import pytest

from lmx_hookspecs import Sampling, TokenRequest
from lmx_mlx import adapter
from lmx_mlx.engine import MlxEngine
from lmx_mlx.sampling import processors_for, sample, sampler_for, uncompiled
from mlx_support import EOS, prompt_of, request_of
from step_engine_support import run

PROBABILITIES = [0.4, 0.3, 0.15, 0.1, 0.05]
DRAWS = 600


def drawn(**parameters: float) -> Counter[int]:
    """What a sampler draws from PROBABILITIES, DRAWS times."""
    logits = mx.log(mx.array([PROBABILITIES]))
    sampler = sampler_for(Sampling(seed=3, **{"temperature": 1.0, **parameters}), len(PROBABILITIES))  # type: ignore[arg-type]
    return Counter(sampler(logits).item() for _ in range(DRAWS))


def processed(logits: list[float], tokens: list[int], *, prompt_length: int, **parameters: object) -> list[float]:
    """The logits after the processors of a row that holds `tokens`."""
    values = mx.array([logits])
    sampling = Sampling(**parameters)  # type: ignore[arg-type]
    request = TokenRequest(tokens=tokens[:prompt_length], max_tokens=9, sampling=sampling)
    for process in processors_for(request):
        values = process(mx.array(tokens), values)
    (row,) = values.tolist()  # type: ignore[misc]
    return row  # type: ignore[return-value]


def test_temperature_one_draws_from_the_models_own_distribution() -> None:
    counts = drawn()

    for token, probability in enumerate(PROBABILITIES):
        spread = 4 * math.sqrt(DRAWS * probability * (1 - probability))
        assert abs(counts[token] - DRAWS * probability) < spread


def test_a_low_temperature_sharpens_the_distribution() -> None:
    counts = drawn(temperature=0.5)

    expected = DRAWS * 0.4**2 / sum(p**2 for p in PROBABILITIES)
    assert abs(counts[0] - expected) < 4 * math.sqrt(DRAWS * 0.25)


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 1}, {0}),
        ({"top_k": 5}, {0, 1, 2, 3, 4}),
        ({"top_k": 1_000_000}, {0, 1, 2, 3, 4}),
        ({"top_p": 0.6}, {0, 1}),
        ({"top_p": 0.0}, {0}),
        ({"top_p": 1.0}, {0, 1, 2, 3, 4}),
        ({"min_p": 0.3}, {0, 1, 2}),
        ({"min_p": 1.0}, {0}),
        ({"top_p": 0.8, "min_p": 0.3, "top_k": 2}, {0, 1}),
    ],
)
def test_filters_keep_what_they_promise(parameters: dict[str, float], allowed: set[int]) -> None:
    assert set(drawn(**parameters)) == allowed


def test_greedy_rows_share_one_sampler() -> None:
    samplers = [sampler_for(Sampling(temperature=value), 10) for value in (0.0, 0.0, 1e-9)]

    assert all(sampler is adapter.greedy_sampler for sampler in samplers)


def test_a_mixed_batch_draws_what_each_row_draws_alone() -> None:
    parameters = [
        Sampling(temperature=0.0),
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=0.5, seed=2),
        Sampling(temperature=1.0, seed=3, top_p=0.7),
        Sampling(temperature=0.0),
        Sampling(temperature=2.0, seed=4, top_p=0.7),
    ]
    logits = mx.random.normal((len(parameters), 50), key=mx.random.key(5))
    alone = [sampler_for(each, 50) for each in parameters]
    together = [sampler_for(each, 50) for each in parameters]

    for _ in range(5):
        separately = [sampler(logits[row : row + 1]).item() for row, sampler in enumerate(alone)]
        assert sample(together, logits).tolist() == separately


def test_new_values_do_not_compile_new_kernels() -> None:
    calls: list[bool] = []
    traced = mx.compile(lambda x: (calls.append(True), x + 1)[1])  # type: ignore[func-returns-value]

    with uncompiled():
        for _ in range(3):
            mx.eval(traced(mx.array(1.0)))

    assert len(calls) == 3


def test_logit_bias_is_added() -> None:
    assert processed([1.0, 2.0, 3.0], [0], prompt_length=1, logit_bias={1: 5.0, 2: -3.0}) == [1.0, 7.0, 0.0]


def test_presence_and_frequency_penalties_count_the_answer_only() -> None:
    logits, tokens = [1.0, 1.0, 1.0, 1.0], [0, 0, 1, 2, 2, 2]

    presence = processed(logits, tokens, prompt_length=2, presence_penalty=0.5)
    frequency = processed(logits, tokens, prompt_length=2, frequency_penalty=0.25)

    assert presence == [1.0, 0.5, 0.5, 1.0]
    assert frequency == [1.0, 0.75, 0.25, 1.0]


def test_penalties_reach_back_beyond_twenty_tokens() -> None:
    tokens = [0, 1, *([2] * 100)]

    assert processed([1.0, 1.0, 1.0], tokens, prompt_length=1, presence_penalty=0.5) == [1.0, 0.5, 0.5]


def test_the_repetition_penalty_counts_prompt_and_answer() -> None:
    assert processed([2.0, -2.0, 2.0], [0, 1], prompt_length=1, repetition_penalty=2.0) == [1.0, -4.0, 2.0]


def test_neutral_parameters_need_no_processor() -> None:
    assert processors_for(TokenRequest(tokens=[1, 2, 3], max_tokens=9, sampling=Sampling())) == []


def test_a_seed_gives_the_same_tokens_alone_and_in_a_batch(engine: MlxEngine) -> None:
    prompt = prompt_of(25)
    wanted = request_of(prompt, max_tokens=20, temperature=1.0, seed=42, top_p=0.95)
    others = [request_of(prompt_of(25 + n, seed=n), max_tokens=20, temperature=0.8, seed=n) for n in range(1, 4)]

    (alone,) = run(engine, [wanted])
    together = run(engine, [others[0], wanted, *others[1:], request_of(prompt_of(9), max_tokens=20, logprobs=2)])

    assert together[1].tokens == alone.tokens


def test_seeds_differ_and_no_seed_differs_each_time(engine: MlxEngine) -> None:
    prompt = prompt_of(25)
    seeds = (1, 2, None, None)

    results = run(engine, [request_of(prompt, max_tokens=20, temperature=1.0, seed=seed) for seed in seeds])

    assert len({tuple(result.tokens) for result in results}) == 4


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 + 5])
def test_any_integer_is_a_seed(engine: MlxEngine, seed: int) -> None:
    request = request_of(prompt_of(5), max_tokens=4, temperature=1.0, seed=seed)

    first, second = run(engine, [request, request])

    assert first.tokens == second.tokens


def test_penalties_work_inside_a_batch(engine: MlxEngine) -> None:
    plain = request_of(prompt_of(10), max_tokens=30, logit_bias={7: 1000.0, EOS: -1000.0})
    penalised = request_of(prompt_of(10), max_tokens=30, logit_bias={7: 1000.0}, frequency_penalty=2.0)
    never_twice = request_of(prompt_of(10), max_tokens=30, presence_penalty=1e6, logit_bias={EOS: -1e9})

    first, second, third = run(engine, [plain, penalised, never_twice])

    assert first.tokens == [7] * 30
    assert second.tokens == [7] * 30
    assert len(set(third.tokens)) == 30


def test_a_top_k_beyond_the_vocabulary_is_off(engine: MlxEngine) -> None:
    (result,) = run(engine, [request_of(prompt_of(5), max_tokens=3, temperature=1.0, seed=1, top_k=10**9)])

    assert len(result.tokens) == 3
