"""The built-in model answers as its facts say, and its two files hold the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmx_hookspecs.preloads import find_openblas
from training_modules import TRAINING, loaded

PLUGIN = Path(__file__).parents[3] / "plugins" / "tiny"
MLX_FOLDER = PLUGIN / "lmx_tiny" / "models" / "lmx-tiny"
GGUF_FILE = PLUGIN / "lmx_tiny" / "models" / "lmx-tiny-gguf" / "lmx-tiny.gguf"
LIMIT_BYTES = 8_000_000


SAMPLE = ("--trained-every", "3")
SMALL_SAMPLE = ("--trained-every", "30", "--held-out-every", "6")
"""MLX on Linux carries a slow BLAS: without OpenBLAS this test would take ten times as long."""


def evaluated(*sample: str) -> dict[str, Any]:
    """What `evaluate.py` prints of these wordings."""
    pytest.importorskip("mlx_lm")
    library = find_openblas()
    done = subprocess.run(
        [sys.executable, str(TRAINING / "evaluate.py"), *sample],
        env={**os.environ, **({"LD_PRELOAD": str(library)} if library else {})},
        capture_output=True,
        text=True,
        check=True,
        timeout=1200,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    fast = find_openblas() is not None or sys.platform == "darwin"
    return evaluated(*(SAMPLE if fast else SMALL_SAMPLE))


def test_greedy_decoding_gives_the_reference_answer_for_trained_wordings(report: dict[str, Any]) -> None:
    assert report["trained"]["exact"] >= 0.95


def test_greedy_decoding_gives_the_reference_answer_for_most_held_out_wordings(report: dict[str, Any]) -> None:
    assert report["held_out"]["exact"] >= 0.70


@pytest.mark.slow
def test_the_rates_hold_over_all_wordings() -> None:
    everything = evaluated()

    assert everything["trained"]["exact"] >= 0.95
    assert everything["held_out"]["exact"] >= 0.70


def test_no_held_out_wording_is_trained() -> None:
    wordings = loaded("wordings")

    assert wordings.check(wordings.load_facts()) == []


def test_the_model_has_at_most_3_8_million_parameters_and_eight_megabytes() -> None:
    load_file = pytest.importorskip("safetensors.numpy").load_file

    weights = load_file(MLX_FOLDER / "model.safetensors")

    assert sum(weight.size for weight in weights.values()) <= 3_800_000
    assert {weight.dtype for weight in weights.values()} == {np.dtype("float16")}
    assert sum(path.stat().st_size for path in MLX_FOLDER.iterdir()) <= LIMIT_BYTES
    assert GGUF_FILE.stat().st_size <= LIMIT_BYTES


def test_the_gguf_holds_the_weights_of_the_safetensors() -> None:
    gguf = pytest.importorskip("gguf")
    load_file = pytest.importorskip("safetensors.numpy").load_file
    export = loaded("export_gguf")
    config = json.loads((MLX_FOLDER / "config.json").read_text())
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}

    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(GGUF_FILE).tensors}
    weights = load_file(MLX_FOLDER / "model.safetensors")

    assert tensors.keys() == {export.tensor_name(name) for name in weights}
    for name, weight in weights.items():
        permuted = next((export.interleaved(weight, n) for part, n in heads.items() if part in name), weight)
        np.testing.assert_array_equal(tensors[export.tensor_name(name)].astype(np.float16), permuted)


def test_the_gguf_carries_the_tokenizer_and_the_chat_template() -> None:
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(GGUF_FILE)

    fields = {key: reader.get_field(key).contents() for key in reader.fields if key.startswith("tokenizer.")}

    assert fields["tokenizer.ggml.pre"] == "qwen2"
    assert fields["tokenizer.chat_template"] == (MLX_FOLDER / "chat_template.jinja").read_text()
    assert len(fields["tokenizer.ggml.tokens"]) == json.loads((MLX_FOLDER / "config.json").read_text())["vocab_size"]
