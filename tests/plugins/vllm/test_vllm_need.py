import json
import sys
from pathlib import Path
from typing import Any

import pytest

import lmx_mlx
import lmx_vllm
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.testing import FakeContext
from lmx_tiny import lmx_model_sources
from lmx_vllm.need import memory_need


def need_of(folder: Path, config: dict[str, Any]) -> tuple[int, int]:
    (folder / "config.json").write_text(json.dumps(config))
    need = memory_need(ModelInfo(id="m", format="safetensors", path=folder, size_bytes=1000))
    return need.weight_bytes, need.kv_bytes_per_token


def test_the_need_of_the_built_in_model_is_what_the_mlx_engine_reckons() -> None:
    (source,) = lmx_model_sources()
    model = source.open(FakeContext()).find("lmx-tiny")
    (ours,), (theirs,) = lmx_vllm.lmx_backends(), lmx_mlx.lmx_backends()
    assert model is not None
    assert ours.memory_need is not None
    assert theirs.memory_need is not None

    need, reference = ours.memory_need(model), theirs.memory_need(model)

    assert need.weight_bytes == pytest.approx(reference.weight_bytes, rel=0.01)
    assert need.kv_bytes_per_token == reference.kv_bytes_per_token


@pytest.mark.parametrize("nested", [False, True])
def test_heads_are_counted_where_there_are_no_groups(tmp_path: Path, nested: bool) -> None:
    text = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 32, "dtype": "float32"}

    assert need_of(tmp_path, {"text_config": text} if nested else text) == (1000, 2 * 3 * 4 * 8 * 4)


@pytest.mark.parametrize(("platform", "factor"), [("linux", 2), ("darwin", 1)])
def test_sixteen_bits_are_widened_where_mlx_runs_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, factor: int
) -> None:
    text = {"num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 8, "torch_dtype": "bfloat16"}
    monkeypatch.setattr(sys, "platform", platform)

    assert need_of(tmp_path, text) == (factor * 1000, factor * 2 * 3 * 4 * 8 * 2)
    assert need_of(tmp_path, {**text, "quantization": {"bits": 4}}) == (1000, 2 * 3 * 4 * 8 * 2)


def test_a_configuration_that_tells_nothing_needs_nothing_per_token(tmp_path: Path) -> None:
    assert need_of(tmp_path, {"dtype": "float32"}) == (1000, 0)
