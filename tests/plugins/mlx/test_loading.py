import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.utils import load_model, quantize_model, save_model

from lmx_hookspecs.errors import LmxError
from lmx_mlx.config import MlxConfig
from mlx_support import EOS, SHAPE, engine_of, prompt_of, request_of, write_model, write_tokenizer
from step_engine_support import run

LLAMA4: Mapping[str, Any] = {
    "model_type": "llama4",
    "text_config": {
        "model_type": "llama4_text",
        "attention_bias": False,
        "attention_chunk_size": 64,
        "head_dim": 16,
        "hidden_size": 64,
        "interleave_moe_layer_step": 1,
        "intermediate_size": 64,
        "intermediate_size_mlp": 64,
        "max_position_embeddings": 4096,
        "num_attention_heads": 4,
        "num_experts_per_tok": 1,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "num_local_experts": 2,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "use_qk_norm": True,
        "vocab_size": 512,
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def change(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None takes a key away."""
    changed = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in changed.items() if value is not None}))


def remote_code(folder: Path) -> None:
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling_evil.Evil"})
    (folder / "modeling_evil.py").write_text("raise SystemExit('it ran')")


def remote_tokenizer(folder: Path) -> None:
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]})
    (folder / "tokenization_evil.py").write_text("raise SystemExit('it ran')")


def model_file(folder: Path) -> None:
    change(folder / "config.json", model_file="evil.py")
    (folder / "evil.py").write_text("raise SystemExit('it ran')")


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5000])


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (remote_code, "no_engine", "auto_map in config.json"),
        (remote_tokenizer, "no_engine", "auto_map in tokenizer_config.json"),
        (model_file, "no_engine", "Python code"),
        (lambda folder: change(folder / "config.json", model_type="perceptron"), "no_engine", "perceptron"),
        (lambda folder: change(folder / "config.json", hidden_size=128), "engine_failed", "shape"),
        (lambda folder: (folder / "config.json").write_text("{"), "engine_failed", "config.json"),
        (lambda folder: (folder / "config.json").unlink(), "engine_failed", "config.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "engine_failed", "model"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 64), "engine_failed", "model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "engine_failed", "safetensors"),
        (lambda folder: (folder / "tokenizer.json").write_text("[]"), "engine_failed", "model"),
        (cut, "engine_failed", "incomplete"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(
    folder: Path, damage: Callable[[Path], object], code: str, words: str
) -> None:
    damage(folder)

    with pytest.raises(LmxError, match=words) as refused:
        engine_of(folder)

    assert refused.value.code == code


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(LmxError, match="no folder"):
        engine_of(tmp_path / "nowhere")


def test_a_known_architecture_can_be_loaded_without_running_the_code_beside_it(folder: Path) -> None:
    remote_code(folder)

    engine = engine_of(folder, ignore_remote_code=True)

    assert len(run(engine, [request_of(prompt_of(5), max_tokens=3)])[0].tokens) == 3


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_sixteen_bit_weights_become_float32_on_the_cpu(tmp_path: Path, dtype: Any) -> None:
    folder = write_model(tmp_path / "half", dtype=dtype)

    upcast, kept = engine_of(folder), engine_of(folder, config=MlxConfig(float32_on_cpu=False))

    assert upcast.describe().details["dtypes"] == ["float32"]
    assert upcast.model.weight_bytes == 2 * kept.model.weight_bytes
    assert len(run(kept, [request_of(prompt_of(5), max_tokens=3, logprobs=2)])[0].tokens) == 3


def test_a_quantised_model_keeps_its_bits_and_answers(folder: Path, tmp_path: Path) -> None:
    network, config = load_model(folder)
    network, config = quantize_model(network, config, group_size=32, bits=4)
    quantised = tmp_path / "quantised"
    quantised.mkdir()
    save_model(quantised, network)
    (quantised / "config.json").write_text(json.dumps(config))
    write_tokenizer(quantised)

    engine = engine_of(quantised)
    alone = [run(engine, [request_of(prompt_of(n), max_tokens=6)])[0].tokens for n in (12, 40)]
    together = run(engine, [request_of(prompt_of(n), max_tokens=6) for n in (12, 40)])

    assert "uint32" in engine.describe().details["dtypes"]
    assert engine.tokenizer.vocab_size == 512
    assert [result.tokens for result in together] == alone


@pytest.mark.parametrize(
    ("changes", "settings", "expected"),
    [
        ({}, {}, 8192),
        ({}, {"context_length": 512}, 512),
        ({}, {"context_length": 100_000}, 8192),
        ({"max_position_embeddings": None, "n_positions": 777}, {}, 777),
        ({"max_position_embeddings": None, "text_config": {"max_position_embeddings": 333}}, {}, 333),
        ({"max_position_embeddings": None}, {}, 4096),
    ],
)
def test_the_context_is_the_models_own_unless_settings_lower_it(
    folder: Path, changes: dict[str, Any], settings: dict[str, Any], expected: int
) -> None:
    change(folder / "config.json", **changes)

    assert engine_of(folder, **settings).describe().context_length == expected


def test_the_vocabulary_is_what_the_embedding_holds(folder: Path) -> None:
    engine = engine_of(folder)

    assert engine.tokenizer.vocab_size == SHAPE["vocab_size"]
    assert len(engine.tokenizer.wrapper) < SHAPE["vocab_size"]


def test_a_model_whose_caches_do_not_merge_runs_one_row_at_a_time(tmp_path: Path) -> None:
    from mlx.utils import tree_flatten
    from mlx_lm.generate import generate_step
    from mlx_lm.models import llama4

    folder = tmp_path / "llama4"
    folder.mkdir()
    mx.random.seed(1)
    network = llama4.Model(llama4.ModelArgs.from_dict(dict(LLAMA4)))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(network.parameters())))
    (folder / "config.json").write_text(json.dumps({**LLAMA4, "eos_token_id": EOS}))
    write_tokenizer(folder)
    engine = engine_of(folder)
    prompts = [prompt_of(100, seed=1), prompt_of(7, seed=2)]

    results = run(engine, [request_of(prompt, max_tokens=6, logprobs=1) for prompt in prompts])
    (biased,) = run(engine, [request_of(prompts[0], max_tokens=6, presence_penalty=1.0, logit_bias={9: 1e4})])

    assert engine.describe().max_rows == 1
    assert not {"batching", "prefix_cache"} & engine.describe().capabilities
    for prompt, result in zip(prompts, results, strict=True):
        expected = generate_step(mx.array(prompt), engine.model.network, max_tokens=6)
        assert result.tokens == [token for token, _ in expected]
        assert result.finish_reason == "length"
    assert biased.tokens == [9] * 6
