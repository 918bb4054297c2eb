import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

import lmx_tiny
from lmx_hookspecs import MemoryNeed, ModelInfo
from lmx_mlx import need
from lmx_mlx.need import kv_bytes_per_token, memory_need
from lmx_mlx.quantize import quantize
from lmx_mlx.quantize_arguments import QuantizeArguments
from lmx_mlx.settings import KvQuantization
from mlx_support import SHAPE, Context, engine_of, info_of, write_model

TINY = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny"
WIDE = {**SHAPE, "head_dim": 64}


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(need, "runs_on_cpu", lambda: True)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(need, "runs_on_cpu", lambda: False)


def quantised(folder: Path, source: Path, **options: Any) -> Path:
    quantize(Context(), QuantizeArguments(source_path=source, output_path=folder, **options), lambda *_, **__: None)
    return folder


def assert_need_is_what_loading_takes(folder: Path, **settings: Any) -> None:
    model = engine_of(folder, **settings).model

    expected = MemoryNeed(weight_bytes=model.weight_bytes, kv_bytes_per_token=int(model.cache_bytes_per_token))
    assert memory_need(info_of(folder, **settings)) == expected


@pytest.mark.parametrize("settings", [{}, {"kv_bits": 8}, {"kv_bits": 4, "kv_group_size": 32}])
def test_the_built_in_model_takes_what_was_reckoned(settings: dict[str, Any]) -> None:
    assert_need_is_what_loading_takes(TINY, **settings)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_a_model_takes_what_was_reckoned_whatever_its_type(tmp_path: Path, dtype: Any) -> None:
    folder = write_model(tmp_path / "model", shape=WIDE, dtype=dtype)

    assert_need_is_what_loading_takes(folder)
    assert_need_is_what_loading_takes(folder, kv_bits=4)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
@pytest.mark.parametrize(
    "options", [{}, {"bits": 8, "group_size": 32}, {"mode": "mxfp4"}, {"mode": "nvfp4"}, {"mode": "mxfp8"}]
)
def test_a_quantised_model_takes_what_was_reckoned(tmp_path: Path, dtype: Any, options: dict[str, Any]) -> None:
    source = write_model(tmp_path / "model", shape=WIDE, dtype=dtype)

    folder = quantised(tmp_path / "quantised", source, **options)

    assert_need_is_what_loading_takes(folder)


@pytest.mark.usefixtures("cpu")
def test_on_the_cpu_sixteen_bits_become_thirty_two(tmp_path: Path) -> None:
    half = write_model(tmp_path / "half", dtype=mx.float16)
    full = write_model(tmp_path / "full")

    assert memory_need(info_of(half)) == memory_need(info_of(full))
    assert memory_need(info_of(half)).weight_bytes == pytest.approx(2 * info_of(half).size_bytes, rel=0.05)


@pytest.mark.usefixtures("gpu")
def test_elsewhere_weights_keep_their_type(tmp_path: Path) -> None:
    half = memory_need(info_of(write_model(tmp_path / "half", dtype=mx.bfloat16)))
    full = memory_need(info_of(write_model(tmp_path / "full")))

    assert (half.weight_bytes * 2, half.kv_bytes_per_token * 2) == (full.weight_bytes, full.kv_bytes_per_token)


@pytest.mark.usefixtures("gpu")
def test_eight_bit_floats_are_loaded_as_sixteen_bits(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [8, 8], "data_offsets": [0, 64]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    (tmp_path / "config.json").write_text("{}")

    assert memory_need(info_of(tmp_path)).weight_bytes == 128


def test_files_that_cannot_be_read_count_as_they_are(tmp_path: Path) -> None:
    damaged = write_model(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (damaged / "config.json").write_text("[")

    assert memory_need(info_of(damaged)) == MemoryNeed(weight_bytes=info_of(damaged).size_bytes)
    assert memory_need(ModelInfo(id="remote", format="safetensors", size_bytes=7)) == MemoryNeed(weight_bytes=7)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SHAPE, 2 * 2 * 16 * 2 * 2),
        ({"text_config": SHAPE, "model_type": "some_vlm"}, 2 * 2 * 16 * 2 * 2),
        ({"n_layer": 3, "n_head": 4, "n_embd": 64}, 3 * 4 * 16 * 2 * 2),
        ({"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 64}, 3 * 4 * 16 * 2 * 2),
        ({**SHAPE, "head_dim": None}, 2 * 2 * 16 * 2 * 2),
        ({**SHAPE, "sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"]}, 2 * 2 * 16 * 2 * 2),
        ({**SHAPE, "layer_types": ["linear_attention", "full_attention"]}, 1 * 2 * 16 * 2 * 2),
        ({**SHAPE, "layer_types": ["mamba", "attention"]}, 1 * 2 * 16 * 2 * 2),
        ({**SHAPE, "num_hidden_layers": 8, "full_attention_interval": 4}, 2 * 2 * 16 * 2 * 2),
        ({**SHAPE, "hybrid_override_pattern": "M*M-*"}, 2 * 2 * 16 * 2 * 2),
        ({**SHAPE, "global_head_dim": 32, "num_global_key_value_heads": 1}, 2 * 2 * 32 * 2 * 2),
        ({**SHAPE, "v_head_dim": 8}, 2 * 2 * (16 + 8) * 2),
        ({"model_type": "mamba", "num_hidden_layers": 4, "hidden_size": 64}, 0),
        ({"num_attention_heads": [4, 8], "num_hidden_layers": 2, "hidden_size": "64"}, 0),
        ({}, 0),
    ],
)
def test_the_cache_of_a_token_follows_from_the_configuration(config: Mapping[str, Any], expected: int) -> None:
    assert kv_bytes_per_token(config, 2) == expected


LATENT: Mapping[str, Any] = {
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 24,
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({**LATENT, "model_type": "deepseek_v3"}, 3 * (32 + 8) * 2),
        ({**LATENT, "model_type": "deepseek_v32", "index_head_dim": 16}, 3 * (32 + 8 + 2 * 16) * 2),
        ({**LATENT, "model_type": "longcat_flash"}, 2 * 3 * (32 + 8) * 2),
        ({**LATENT, "model_type": "deepseek_v2"}, 3 * 4 * (16 + 8 + 24) * 2),
    ],
)
def test_latent_attention_keeps_what_mlx_lm_keeps_of_it(config: Mapping[str, Any], expected: int) -> None:
    assert kv_bytes_per_token(config, 2) == expected


def test_a_quantised_cache_has_a_scale_and_a_bias_for_each_group() -> None:
    quantization = KvQuantization(bits=4, group_size=32)

    per_token = kv_bytes_per_token({**SHAPE, "head_dim": 64}, 2, quantization)

    assert per_token == 2 * 2 * 2 * (64 // 2 + 64 // 32 * 2 * 2)
