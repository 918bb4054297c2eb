import math
from collections import Counter
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.generate import generate_step

import lmx_tiny
from lmx_hookspecs import Message
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest
from lmx_mlx.engine import MlxEngine
from mlx_support import EOS, VOCAB_SIZE, close_to, engine_of, prompt_of, request_of
from step_engine_support import drain, run


def reference(engine: MlxEngine, prompt: list[int], max_tokens: int) -> list[int]:
    steps = generate_step(mx.array(prompt), engine.model.network, max_tokens=max_tokens)
    tokens: list[int] = []
    for token, _ in steps:
        tokens.append(token)
        if token == EOS:
            break
    return tokens


@pytest.mark.parametrize("length", [1, 2, 31, 300, 1500])
def test_greedy_tokens_are_those_of_mlx_lm(engine: MlxEngine, length: int) -> None:
    prompt = prompt_of(length)

    (result,) = run(engine, [request_of(prompt, max_tokens=24)])

    assert result.tokens == reference(engine, prompt, 24)


def test_a_batch_gives_every_row_what_it_gets_alone(engine: MlxEngine) -> None:
    prompts = [prompt_of(length, seed=length) for length in (1, 5, 40, 41, 200, 700, 1800)]

    together = run(engine, [request_of(prompt, max_tokens=20) for prompt in prompts])

    assert [result.tokens for result in together] == [reference(engine, prompt, 20) for prompt in prompts]


def test_one_token_is_one_piece_with_reason_length(engine: MlxEngine) -> None:
    (result,) = run(engine, [request_of(prompt_of(9), max_tokens=1)])

    assert len(result.pieces) == 1
    assert result.finish_reason == "length"


def test_the_end_of_sequence_finishes_a_row_with_stop(engine: MlxEngine) -> None:
    (result,) = run(engine, [request_of(prompt_of(9), logit_bias={EOS: 1000.0})])

    assert result.tokens == [EOS]
    assert result.finish_reason == "stop"


def test_more_rows_than_the_batch_holds_wait_their_turn(model_folder: Path) -> None:
    engine = engine_of(model_folder, completion_batch_size=32)
    for row in range(40):
        engine.add(row, request_of(prompt_of(12, seed=row), max_tokens=6))

    engine.step()
    running = engine.describe().details
    finished = Counter(piece.id for piece in drain(engine) if piece.finish_reason is not None)

    assert (running["rows"], running["queued"]) == (32, 8)
    assert finished == Counter(range(40))


def test_mode_single_runs_one_row_at_a_time(model_folder: Path) -> None:
    engine = engine_of(model_folder, mode="single")
    prompts = [prompt_of(30, seed=1), prompt_of(30, seed=2)]

    results = run(engine, [request_of(prompt, max_tokens=8) for prompt in prompts])

    assert engine.describe().max_rows == 1
    assert [result.tokens for result in results] == [reference(engine, prompt, 8) for prompt in prompts]


def test_max_tokens_ends_at_the_context(model_folder: Path) -> None:
    engine = engine_of(model_folder, context_length=64)

    (result,) = run(engine, [request_of(prompt_of(60), max_tokens=50, logit_bias={EOS: -1000.0})])

    assert len(result.tokens) == 4
    assert result.finish_reason == "length"


@pytest.mark.parametrize(
    ("prompt", "options", "param"),
    [
        ([], {}, "prompt"),
        ([VOCAB_SIZE], {}, "prompt"),
        ([-1], {}, "prompt"),
        ([5], {"logit_bias": {VOCAB_SIZE: 1.0}}, "logit_bias"),
        ([5], {"logit_bias": {-1: 1.0}}, "logit_bias"),
        ([5], {"max_tokens": 0}, "max_tokens"),
        ([5], {"repetition_penalty": 0.0}, "repetition_penalty"),
    ],
)
def test_what_would_abort_the_process_is_refused_before_it_starts(
    engine: MlxEngine, prompt: list[int], options: dict[str, object], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        engine.add(1, request_of(prompt, **options))  # type: ignore[arg-type]

    assert refused.value.param == param
    assert engine.describe().details["queued"] == 0


def test_a_prompt_beyond_the_context_is_refused(model_folder: Path) -> None:
    engine = engine_of(model_folder, context_length=32)

    with pytest.raises(ContextLengthExceeded, match="32"):
        engine.add(1, request_of(prompt_of(32)))


def test_logprobs_are_those_of_a_direct_forward_pass(engine: MlxEngine) -> None:
    prompt = prompt_of(20)
    plain = request_of(prompt_of(20, seed=9), max_tokens=6)

    result, _ = run(engine, [request_of(prompt, max_tokens=6, logprobs=3), plain])

    for position, piece in enumerate(result.pieces):
        logits = engine.model.network(mx.array([prompt + result.tokens[:position]]))[0, -1]
        expected = logits - mx.logsumexp(logits)
        best = mx.argsort(-expected)[:3].tolist()
        assert piece.token is not None
        assert piece.logprob is not None
        assert close_to(piece.logprob, expected[piece.token].item())
        assert [token for token, _ in piece.top] == best
        assert all(close_to(value, expected[token].item()) for token, value in piece.top)


def test_all_probabilities_together_are_at_most_one(engine: MlxEngine) -> None:
    (result,) = run(engine, [request_of(prompt_of(8), max_tokens=3, logprobs=20, temperature=1.0)])

    for piece in result.pieces:
        assert len(piece.top) == 20
        assert 0 < math.fsum(math.exp(value) for _, value in piece.top) <= 1


def test_logprobs_zero_reports_the_token_and_no_alternatives(engine: MlxEngine) -> None:
    (result,) = run(engine, [request_of(prompt_of(8), max_tokens=2, logprobs=0)])

    assert all(piece.logprob is not None and piece.top == [] for piece in result.pieces)


def test_rows_that_report_logprobs_come_and_go_beside_rows_that_do_not(engine: MlxEngine) -> None:
    prompts = [prompt_of(20, seed=seed) for seed in range(3)]
    engine.add(0, request_of(prompts[0], max_tokens=30))
    pieces = [piece for _ in range(6) for piece in engine.step()]
    engine.add(1, request_of(prompts[1], max_tokens=5, logprobs=1))
    pieces += [piece for _ in range(3) for piece in engine.step()]
    engine.add(2, request_of(prompts[2], max_tokens=5))

    pieces += drain(engine)

    for row, count in enumerate((30, 5, 5)):
        tokens = [piece.token for piece in pieces if piece.id == row]
        assert tokens == reference(engine, prompts[row], count)
    assert all((piece.logprob is not None) == (piece.id == 1) for piece in pieces)


def test_the_built_in_model_chats_as_mlx_lm_does() -> None:
    engine = engine_of(Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny")
    prompt = engine.tokenizer.render([Message(role="user", content="How do I list the plugins?")], (), {})

    (result,) = run(engine, [request_of(prompt, max_tokens=40)])

    expected = generate_step(mx.array(prompt), engine.model.network, max_tokens=len(result.tokens))
    assert result.tokens == [token for token, _ in expected]
    assert engine.tokenizer.decode(result.tokens).strip()


def test_a_row_alone_is_joined_and_left_alone_again_without_a_change(engine: MlxEngine) -> None:
    prompts = [prompt_of(50, seed=seed) for seed in range(3)]
    engine.add(0, request_of(prompts[0], max_tokens=60))
    pieces = [piece for _ in range(15) for piece in engine.step()]
    engine.add(1, request_of(prompts[1], max_tokens=5))
    pieces += [piece for _ in range(20) for piece in engine.step()]
    engine.add(2, request_of(prompts[2], max_tokens=5))

    pieces += drain(engine)
    (again,) = run(engine, [request_of([*prompts[0], *reference(engine, prompts[0], 60)], max_tokens=5)])

    for row, count in enumerate((60, 5, 5)):
        assert [piece.token for piece in pieces if piece.id == row] == reference(engine, prompts[row], count)
    assert again.cached_tokens == 109
