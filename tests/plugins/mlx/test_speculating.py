import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

import lmx_tiny
from lmx_hookspecs import Message
from lmx_hookspecs.errors import LmxError, UnsupportedParameter
from lmx_hookspecs.testing import check_step_engine
from lmx_mlx.engine import MlxEngine
from mlx_support import EOS, SHAPE, VOCAB_SIZE, close_to, engine_of, prompt_of, request_of, write_model
from step_engine_support import drain, run

TINY = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny"
SMALL: Mapping[str, Any] = {**SHAPE, "hidden_size": 32, "num_hidden_layers": 1, "head_dim": 8}
QUESTION = "How do I list the plugins?"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A draft model that knows nothing of the target."""
    return write_model(tmp_path_factory.mktemp("drafts") / "stranger", shape=SMALL)


def counted(engine: MlxEngine) -> tuple[int, int]:
    facts = engine.describe().details["speculative"]
    return facts["drafted"], facts["accepted"]


@pytest.mark.parametrize("length", [1, 2, 70, 900])
@pytest.mark.parametrize("most", [1, 3, 16])
def test_greedy_tokens_are_those_of_plain_decoding(model_folder: Path, stranger: Path, length: int, most: int) -> None:
    request = request_of(prompt_of(length), max_tokens=30)
    (expected,) = run(engine_of(model_folder), [request])

    for draft in (stranger, model_folder):
        engine = engine_of(model_folder, draft=draft, num_draft_tokens=most)
        (result,) = run(engine, [request])

        assert (result.tokens, result.finish_reason) == (expected.tokens, expected.finish_reason)


def test_a_model_that_drafts_for_itself_is_always_right(model_folder: Path, stranger: Path) -> None:
    request = request_of(prompt_of(50), max_tokens=40, logit_bias={EOS: -1000.0})
    own, other = engine_of(model_folder, draft=model_folder), engine_of(model_folder, draft=stranger)

    run(own, [request])
    run(other, [request])

    assert own.describe().details["speculative"] == {
        "kind": "draft_model",
        "drafted": 30,
        "accepted": 30,
        "acceptance_rate": 1.0,
    }
    drafted, accepted = counted(other)
    assert accepted < drafted // 2


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.9},
        {"temperature": 1.2, "top_k": 20, "min_p": 0.01},
        {"temperature": 0.8, "presence_penalty": 0.7, "frequency_penalty": 0.3, "repetition_penalty": 1.1},
        {"temperature": 1.0, "logit_bias": {9: 4.0, 10: 4.0}},
    ],
)
def test_a_seed_gives_the_tokens_that_it_gives_without_guesses(
    model_folder: Path, stranger: Path, sampling: dict[str, Any]
) -> None:
    request = request_of(prompt_of(80), max_tokens=40, seed=11, **sampling)
    (expected,) = run(engine_of(model_folder), [request])

    for options in ({"draft": stranger}, {"draft": model_folder}, {"prompt_lookup": True}):
        (result,) = run(engine_of(model_folder, **options), [request])

        assert result.tokens == expected.tokens


def test_like_models_draw_alike(model_folder: Path) -> None:
    engine = engine_of(model_folder, draft=model_folder)

    run(engine, [request_of(prompt_of(80), max_tokens=40, seed=5, temperature=1.0, top_p=0.9)])

    drafted, accepted = counted(engine)
    assert drafted == accepted > 20


def test_sampled_tokens_are_distributed_as_the_model_says(model_folder: Path, stranger: Path) -> None:
    prompt, rows = prompt_of(12), 400
    engine = engine_of(model_folder, draft=stranger)
    likely: Any = mx.softmax(engine.model.network(mx.array([prompt]))[0, -1] * 0.2)

    results = run(engine, [request_of(prompt, max_tokens=2, temperature=5.0, seed=seed) for seed in range(rows)])
    first = Counter(result.tokens[0] for result in results)

    best = likely.argmax().item()
    groups = [[best], [token for token in range(VOCAB_SIZE) if token % 2 and token != best]]
    for group in groups:
        expected = sum(likely[token].item() for token in group)
        spread = (expected * (1 - expected) / rows) ** 0.5
        assert abs(sum(first[token] for token in group) / rows - expected) < 4 * spread


def test_logprobs_are_those_of_a_direct_forward_pass(model_folder: Path) -> None:
    engine = engine_of(model_folder, draft=model_folder)
    prompt = prompt_of(40)

    (result,) = run(engine, [request_of(prompt, max_tokens=9, logprobs=2)])

    for position, piece in enumerate(result.pieces):
        logits = engine.model.network(mx.array([prompt + result.tokens[:position]]))[0, -1]
        expected = logits - mx.logsumexp(logits)
        assert piece.token is not None
        assert piece.logprob is not None
        assert close_to(piece.logprob, expected[piece.token].item())
        assert [token for token, _ in piece.top] == mx.argsort(-expected)[:2].tolist()


def test_the_prefix_cache_serves_rows_whose_tokens_are_guessed(model_folder: Path, stranger: Path) -> None:
    cold = engine_of(model_folder, prefix_cache_enabled=False)
    for options in ({"draft": stranger}, {"draft": model_folder}, {"prompt_lookup": True}):
        engine = engine_of(model_folder, **options)
        (first,) = run(engine, [request_of(prompt_of(90), max_tokens=11)])
        turn = [*prompt_of(90), *first.tokens, *prompt_of(8, seed=2)]

        (second,) = run(engine, [request_of(turn, max_tokens=20)])

        assert second.cached_tokens >= 90
        assert second.tokens == run(cold, [request_of(turn, max_tokens=20)])[0].tokens


def test_what_a_cancelled_row_had_read_is_kept(model_folder: Path) -> None:
    engine = engine_of(model_folder, draft=model_folder)
    engine.add(0, request_of(prompt_of(100), max_tokens=50))
    cut = [piece for _ in range(12) for piece in engine.step()]
    engine.cancel(0)
    tokens = [piece.token for piece in cut if piece.token is not None]

    (result,) = run(engine, [request_of([*prompt_of(100), *tokens, 9], max_tokens=3)])

    assert result.cached_tokens == 100 + len(tokens) - 1


def test_the_end_of_sequence_ends_a_row_in_the_middle_of_accepted_guesses(model_folder: Path) -> None:
    engine, plain = engine_of(model_folder, draft=model_folder, num_draft_tokens=16), engine_of(model_folder)
    request = request_of(prompt_of(30), max_tokens=400, temperature=1.0, seed=3, logit_bias={EOS: 2.0})

    (result,) = run(engine, [request])
    (expected,) = run(plain, [request])

    assert result.finish_reason == expected.finish_reason == "stop"
    assert result.tokens == expected.tokens
    assert result.tokens.index(EOS) == len(result.tokens) - 1


def test_a_row_ends_at_its_tokens_and_at_the_context(model_folder: Path) -> None:
    engine = engine_of(model_folder, draft=model_folder, num_draft_tokens=16, context_length=64)
    free = {EOS: -1000.0}

    results = run(engine, [request_of(prompt_of(60), max_tokens=50, logit_bias=free), request_of([5], max_tokens=1)])

    assert [(len(result.tokens), result.finish_reason) for result in results] == [(4, "length"), (1, "length")]


def test_one_row_at_a_time_keeps_the_contract(model_folder: Path, stranger: Path) -> None:
    for options in ({"draft": stranger}, {"prompt_lookup": True}, {"prompt_lookup": True, "mode": "single"}):
        engine = engine_of(model_folder, **options)

        check_step_engine(engine)

        assert engine.describe().max_rows == 1
        assert "batching" not in engine.describe().capabilities


def test_quantised_caches_can_be_guessed_into(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "wide", shape={**SHAPE, "head_dim": 64})
    request = request_of(prompt_of(100), max_tokens=30)

    engine = engine_of(folder, draft=folder, kv_bits=8)
    (result,) = run(engine, [request])

    assert result.tokens == run(engine_of(folder, kv_bits=8), [request])[0].tokens
    assert engine.describe().details["kv_cache"]["bits"] == 8


def test_a_text_that_repeats_itself_is_guessed_from_itself() -> None:
    plain, engine = engine_of(TINY), engine_of(TINY, prompt_lookup=True, num_draft_tokens=8)
    prompt = plain.tokenizer.render([Message(role="user", content=QUESTION)], (), {})
    (expected,) = run(plain, [request_of(prompt, max_tokens=40)])
    repeated = [*prompt, *expected.tokens, *prompt]

    (first,) = run(engine, [request_of(prompt, max_tokens=40)])
    (again,) = run(engine, [request_of(repeated, max_tokens=40)])

    assert first.tokens == expected.tokens
    assert again.tokens == run(plain, [request_of(repeated, max_tokens=40)])[0].tokens
    assert engine.describe().details["speculative"]["kind"] == "prompt_lookup"
    assert counted(engine)[1] > 10


def test_rows_follow_one_another_with_one_draft_model(model_folder: Path, stranger: Path) -> None:
    engine, plain = engine_of(model_folder, draft=stranger), engine_of(model_folder)
    requests = [request_of(prompt_of(length, seed=length), max_tokens=12) for length in (300, 40, 41, 1200, 3)]

    results = run(engine, requests)

    assert [result.tokens for result in results] == [result.tokens for result in run(plain, requests)]


def test_a_draft_model_with_fewer_rows_is_fed_no_token_that_it_lacks(model_folder: Path, tmp_path: Path) -> None:
    narrow = write_model(tmp_path / "narrow", shape={**SMALL, "vocab_size": 440})
    engine, plain = engine_of(model_folder, draft=narrow), engine_of(model_folder)
    requests = [request_of([*prompt_of(50), 500, 7], max_tokens=12), request_of([3, 4, 5], max_tokens=12)]

    results = run(engine, requests)

    assert [result.tokens for result in results] == [result.tokens for result in run(plain, requests)]


def test_a_wider_draft_model_guesses_within_the_vocabulary(model_folder: Path, tmp_path: Path) -> None:
    wide = write_model(tmp_path / "wider", shape={**SMALL, "vocab_size": 1024})
    request = request_of(prompt_of(50), max_tokens=40, temperature=1.0, seed=2)

    (result,) = run(engine_of(model_folder, draft=wide), [request])

    assert result.tokens == run(engine_of(model_folder), [request])[0].tokens


@pytest.mark.parametrize(
    ("options", "param", "words"),
    [
        ({"mode": "batch", "draft_model": "d"}, "mode", "mode batch and draft_model exclude each other"),
        ({"mode": "batch", "prompt_lookup": True}, "mode", "mode batch and prompt_lookup exclude each other"),
        ({"draft_model": "d", "prompt_lookup": True}, "prompt_lookup", "draft_model and prompt_lookup"),
        ({"draft_model": "d"}, "draft_model", "no folder on disk"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    model_folder: Path, options: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(UnsupportedParameter, match=words) as refused:
        engine_of(model_folder, **options)

    assert refused.value.param == param


def test_a_draft_model_with_another_tokenizer_is_refused(model_folder: Path) -> None:
    with pytest.raises(UnsupportedParameter, match=r"lmx-tiny cannot draft for.*tokenizers differ") as refused:
        engine_of(model_folder, draft=TINY)

    assert refused.value.param == "draft_model"


def test_a_damaged_draft_model_says_which_one_it_is(model_folder: Path, tmp_path: Path) -> None:
    damaged = write_model(tmp_path / "damaged", shape=SMALL)
    (damaged / "model.safetensors").write_bytes(b"\xff" * 64)

    with pytest.raises(LmxError, match="damaged cannot be loaded"):
        engine_of(model_folder, draft=damaged)


def test_a_model_whose_caches_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    shape = {**SHAPE, "sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"]}
    folder = write_model(tmp_path / "windows", shape=shape)

    with pytest.raises(UnsupportedParameter, match=r"RotatingKVCache.*leave prompt_lookup out"):
        engine_of(folder, prompt_lookup=True)


def test_a_cancelled_row_leaves_nothing_behind_while_the_draft_model_reads(model_folder: Path) -> None:
    engine = engine_of(model_folder, draft=model_folder, prefix_cache_enabled=False)
    engine.add(1, request_of(prompt_of(3000), max_tokens=5))
    engine.step()

    engine.cancel(1)
    (result,) = run(engine, [request_of(prompt_of(20), max_tokens=5)])

    assert result.tokens == run(engine_of(model_folder), [request_of(prompt_of(20), max_tokens=5)])[0].tokens
    assert drain(engine) == []


def test_speculation_is_told_of_only_where_there_is_some(model_folder: Path) -> None:
    details = engine_of(model_folder).describe().details

    assert details["speculative"] is None
    assert json.dumps(engine_of(model_folder, prompt_lookup=True).describe().details["speculative"])
