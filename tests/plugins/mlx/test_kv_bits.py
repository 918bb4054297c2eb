from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx import nn
from mlx_lm.models import deepseek_v3
from mlx_lm.models.cache import QuantizedKVCache, RotatingKVCache

import lmx_tiny
from lmx_hookspecs import Message
from lmx_hookspecs.errors import UnsupportedParameter
from lmx_hookspecs.testing import check_step_engine
from lmx_mlx.probing import probed
from lmx_mlx.settings import KvQuantization
from mlx_support import SHAPE, engine_of, prompt_of, request_of, write_model
from step_engine_support import drain, result_of, run

LATENT: Mapping[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "first_k_dense_replace": 1,
    "num_attention_heads": 2,
    "q_lora_rank": None,
    "kv_lora_rank": 64,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 64,
    "v_head_dim": 64,
}
TINY = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny"


@pytest.fixture(scope="module")
def wide_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("kv") / "wide", shape={**SHAPE, "head_dim": 64})


@pytest.mark.parametrize(("settings", "ratio"), [({"kv_bits": 8}, 72 / 256), ({"kv_bits": 4}, 40 / 256)])
def test_keys_and_values_are_really_quantised(wide_folder: Path, settings: dict[str, Any], ratio: float) -> None:
    plain, engine = engine_of(wide_folder), engine_of(wide_folder, **settings)
    engine.add(0, request_of(prompt_of(20), max_tokens=8))
    while not engine.step():
        pass
    (lane,) = engine._lanes

    layers, tokens = lane.batch.layers_of(0)

    assert {type(layer) for layer in layers} == {QuantizedKVCache}
    assert {(layer.bits, layer.offset) for layer in layers} == {(settings["kv_bits"], len(tokens))}
    described, before = engine.describe().details["kv_cache"], plain.describe().details["kv_cache"]
    assert described == {
        "types": ["QuantizedKVCache"],
        "bytes_per_token": before["bytes_per_token"] * ratio,
        "bits": settings["kv_bits"],
        "group_size": 64,
    }


@pytest.mark.parametrize("bits", [8, 4])
def test_the_built_in_model_says_the_same(bits: int) -> None:
    plain, engine = engine_of(TINY), engine_of(TINY, kv_bits=bits)
    prompt = plain.tokenizer.render([Message(role="user", content="How do I list the plugins?")], (), {})

    (expected,) = run(plain, [request_of(prompt, max_tokens=40)])
    (result,) = run(engine, [request_of(prompt, max_tokens=40)])

    assert result.tokens == expected.tokens


def test_the_text_does_not_depend_on_how_the_prompt_was_cut(wide_folder: Path) -> None:
    prompt = prompt_of(300)
    results = []
    for chunk_tokens in (7, 64, 512):
        engine = engine_of(wide_folder, kv_bits=4)
        batch = engine.new_batch()
        batch.insert(prompt, max_tokens=12, sampler=greedy, processors=[], layers=None, held=0)
        results.append(tokens_of(batch, chunk_tokens))

    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 12


def greedy(logprobs: Any) -> Any:
    return logprobs.argmax(axis=-1)


def tokens_of(batch: Any, chunk_tokens: int) -> list[int]:
    tokens: list[int] = []
    while not tokens or batch.decoding:
        tokens += [token.token for token in batch.next(chunk_tokens).drawn]
    return tokens


def test_such_a_model_runs_one_row_at_a_time_and_keeps_the_contract(wide_folder: Path) -> None:
    engine = engine_of(wide_folder, kv_bits=8)

    check_step_engine(engine)

    assert engine.describe().max_rows == 1
    assert engine.describe().capabilities & {"batching", "prefix_cache"} == {"prefix_cache"}


def test_a_prompt_goes_on_where_an_earlier_row_ended(wide_folder: Path) -> None:
    engine, fresh = engine_of(wide_folder, kv_bits=8), engine_of(wide_folder, kv_bits=8)
    prompt = prompt_of(100)
    (first,) = run(engine, [request_of(prompt, max_tokens=10)])
    turn = [*prompt, *first.tokens, *prompt_of(5, seed=3)]
    other = [*prompt[:70], *prompt_of(9, seed=4)]

    (second,) = run(engine, [request_of(turn, max_tokens=10)])
    (branch,) = run(engine, [request_of(other, max_tokens=10)])

    assert (first.cached_tokens, second.cached_tokens, branch.cached_tokens) == (0, 110, 70)
    assert second.tokens == run(fresh, [request_of(turn, max_tokens=10)])[0].tokens
    assert branch.tokens == run(engine_of(wide_folder, kv_bits=8), [request_of(other, max_tokens=10)])[0].tokens


def test_what_a_cancelled_row_had_read_is_kept(wide_folder: Path) -> None:
    engine = engine_of(wide_folder, kv_bits=8)
    prompt = prompt_of(100)
    engine.add(0, request_of(prompt, max_tokens=50))
    cut = [piece for _ in range(6) for piece in engine.step()]
    engine.cancel(0)

    (result,) = run(engine, [request_of([*prompt, *result_of(cut).tokens, 9], max_tokens=3)])

    assert result.cached_tokens == 100 + len(cut)


def test_the_prefix_cache_can_be_off(wide_folder: Path) -> None:
    engine = engine_of(wide_folder, kv_bits=8, prefix_cache_enabled=False)

    results = [run(engine, [request_of(prompt_of(100), max_tokens=4)])[0] for _ in range(2)]

    assert [result.cached_tokens for result in results] == [0, 0]
    assert "prefix_cache" not in engine.describe().capabilities


def test_several_choices_share_one_prefill(wide_folder: Path) -> None:
    engine = engine_of(wide_folder, kv_bits=8)
    for row in range(3):
        engine.add(row, request_of(prompt_of(100), max_tokens=4))

    pieces = drain(engine)

    firsts = [next(piece for piece in pieces if piece.id == row) for row in range(3)]
    assert [piece.cached_tokens for piece in firsts] == [0, 99, 99]


@pytest.mark.parametrize(
    ("settings", "param", "words"),
    [
        ({"kv_bits": 4, "mode": "batch"}, "mode", "exclude each other"),
        ({"kv_bits": 4, "kv_group_size": 128}, "kv_group_size", "64 numbers.*kv_group_size 32 or 64 works"),
        ({"kv_bits": 4, "kv_group_size": 48}, "kv_group_size", "32, 64 or 128"),
        ({"kv_bits": 3}, "kv_bits", "4 or 8"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_what_would_work(
    wide_folder: Path, settings: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(UnsupportedParameter, match=words) as refused:
        engine_of(wide_folder, **settings)

    assert refused.value.param == param


def test_a_model_whose_vectors_no_group_divides_is_refused(model_folder: Path) -> None:
    with pytest.raises(UnsupportedParameter, match=r"16 numbers.*leave kv_bits out"):
        engine_of(model_folder, kv_bits=4)


class Windowed(nn.Module):  # type: ignore[misc]  # mlx is untyped
    """One layer of attention with a sliding window."""

    def make_cache(self) -> list[Any]:
        return [RotatingKVCache(max_size=64)]

    def __call__(self, tokens: Any, cache: Any) -> Any:
        cache[0].update_and_fetch(*[mx.zeros((1, 1, tokens.shape[1], 64))] * 2)
        return mx.zeros((*tokens.shape, 8))


def test_a_model_without_a_cache_that_can_be_quantised_is_refused() -> None:
    with pytest.raises(UnsupportedParameter, match=r"no quantised form of its caches \(RotatingKVCache\)") as refused:
        probed(Windowed(), "windowed", KvQuantization(bits=4, group_size=64))

    assert refused.value.param == "kv_bits"


def test_a_model_that_reads_its_cache_in_a_way_of_its_own_is_refused() -> None:
    mx.random.seed(1)
    network = deepseek_v3.Model(deepseek_v3.ModelArgs(**LATENT))

    with pytest.raises(UnsupportedParameter, match="does not read a quantised cache"):
        probed(network, "latent", KvQuantization(bits=4, group_size=64))


def test_layers_with_windows_stay_as_they_are(tmp_path: Path) -> None:
    layer_types = ["sliding_attention", "full_attention"]
    folder = write_model(
        tmp_path / "mixed", shape={**SHAPE, "head_dim": 64, "sliding_window": 32, "layer_types": layer_types}
    )
    engine = engine_of(folder, kv_bits=8)

    (result,) = run(engine, [request_of(prompt_of(100), max_tokens=6)])

    assert engine.describe().details["kv_cache"]["types"] == ["QuantizedKVCache", "RotatingKVCache"]
    assert len(result.tokens) == 6


def test_mode_single_and_kv_bits_go_together(wide_folder: Path) -> None:
    engine = engine_of(wide_folder, kv_bits=4, mode="single")

    assert engine.describe().max_rows == 1
