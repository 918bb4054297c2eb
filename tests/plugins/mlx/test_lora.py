import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models import llama
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model, quantize_model, save_model

import lmx_tiny
from lmx_hookspecs import Message
from lmx_hookspecs.errors import EngineFailed
from lmx_mlx import lora
from lora_support import trained
from mlx_support import SHAPE, engine_of, prompt_of, request_of, write_model, write_tokenizer
from step_engine_support import run

TINY = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny"
QUESTION = [Message(role="user", content="How do I list the plugins?")]
PROBE = mx.array([prompt_of(20)])


def fused(base: Path, adapter: Path, folder: Path) -> Path:
    """The base with the adapter merged into it, as `mlx_lm.fuse` does."""
    network, config = load_model(base)
    network.set_dtype(mx.float32)
    load_adapters(network, str(adapter))
    layers = [(name, module.fuse()) for name, module in network.named_modules() if hasattr(module, "fuse")]
    network.update_modules(tree_unflatten(layers))
    folder.mkdir()
    save_model(folder, network)
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (base / name).exists():
            (folder / name).write_bytes((base / name).read_bytes())
    return folder


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_the_text_is_that_of_the_merged_model_and_not_of_the_base(tmp_path: Path, kind: str) -> None:
    adapter = trained(TINY, tmp_path / "adapter", kind=kind)
    merged = engine_of(fused(TINY, adapter, tmp_path / "merged"))
    base, engine = engine_of(TINY), engine_of(TINY, adapter=adapter)
    prompt = base.tokenizer.render(QUESTION, (), {})

    texts = [run(it, [request_of(prompt, max_tokens=30, logprobs=0)])[0] for it in (base, engine, merged)]
    logits = [it.model.network(PROBE) for it in (base, engine, merged)]

    assert texts[1].tokens == texts[2].tokens != texts[0].tokens
    assert np.abs(np.subtract(logits[1], logits[2])).max() < 1e-3
    assert np.abs(np.subtract(logits[1], logits[0])).max() > 0.5
    assert engine.describe().details["adapter"] == {"path": str(adapter), "kind": kind, "rank": 4}
    assert base.describe().details["adapter"] is None


def test_what_was_fused_costs_no_layer(model_folder: Path, tmp_path: Path) -> None:
    engine = engine_of(model_folder, adapter=trained(model_folder, tmp_path / "adapter"))

    assert not [name for name, _ in tree_flatten(engine.model.network.parameters()) if "lora" in name]


def test_over_quantised_weights_the_adapter_stays_beside_them(model_folder: Path, tmp_path: Path) -> None:
    network, config = quantize_model(*load_model(model_folder), group_size=32, bits=4)
    quantised = tmp_path / "quantised"
    quantised.mkdir()
    save_model(quantised, network)
    (quantised / "config.json").write_text(json.dumps(config))
    write_tokenizer(quantised)
    adapter = trained(model_folder, tmp_path / "adapter")

    engine = engine_of(quantised, adapter=adapter)
    expected, _ = load_model(quantised)
    load_adapters(expected, str(adapter))
    expected.eval()

    assert mx.array_equal(engine.model.network(PROBE), expected(PROBE)).item()
    together = run(engine, [request_of(prompt_of(n), max_tokens=5) for n in (8, 30)])
    assert [len(result.tokens) for result in together] == [5, 5]


def peft(native: Path, folder: Path, **options: Any) -> Path:
    """The same adapter as PEFT writes it."""
    tensors: Any = mx.load(str(native / "adapters.safetensors"))
    names = {"lora_a": "lora_A", "lora_b": "lora_B"}
    written = {}
    for name, tensor in tensors.items():
        path, _, leaf = name.rpartition(".")
        written[f"base_model.model.{path}.{names[leaf]}.weight"] = mx.contiguous(tensor.T)
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapter_model.safetensors"), written)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 32, "bias": "none", "fan_in_fan_out": False, **options}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_an_adapter_of_peft_does_what_the_same_one_of_mlx_lm_does(model_folder: Path, tmp_path: Path) -> None:
    native = trained(model_folder, tmp_path / "native")
    converted = peft(native, tmp_path / "peft", init_lora_weights="gaussian")
    scaled = peft(native, tmp_path / "rs", use_rslora=True, lora_alpha=16)

    logits = [engine_of(model_folder, adapter=it).model.network(PROBE) for it in (native, converted, scaled)]

    assert mx.array_equal(logits[0], logits[1]).item()
    assert mx.array_equal(logits[0], logits[2]).item()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"peft_type": "LOHA"}, "only LORA can be converted"),
        ({"use_dora": True}, "uses PEFT's use_dora"),
        ({"bias": "all"}, "uses PEFT's bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights pissa, which changes the base"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights pissa_niter_16"),
        ({"init_lora_weights": "olora"}, "init_lora_weights olora"),
        ({"init_lora_weights": "corda"}, "init_lora_weights corda"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights loftq"),
    ],
)
def test_what_peft_can_do_and_two_matrices_cannot_is_refused(
    model_folder: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    adapter = peft(trained(model_folder, tmp_path / "native", steps=1), tmp_path / "peft", **options)

    with pytest.raises(EngineFailed, match=words):
        engine_of(model_folder, adapter=adapter)


class Scaled(llama.Model):  # type: ignore[misc]  # mlx-lm is untyped
    """An architecture whose weights mlx-lm scales on the way in, under the same name, as Falcon-H1's are."""

    def sanitize(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        return {name: weight * 0.5 if "q_proj" in name else weight for name, weight in weights.items()}


def test_an_architecture_whose_weights_are_changed_on_the_way_in_is_refused(model_folder: Path, tmp_path: Path) -> None:
    network = Scaled(llama.ModelArgs.from_dict(dict(SHAPE)))
    adapter = peft(trained(model_folder, tmp_path / "native", steps=1), tmp_path / "peft")

    with pytest.raises(EngineFailed, match=r"changes model\.layers\.\d\.self_attn\.q_proj of this architecture"):
        lora.apply(network, adapter, "scaled")


def without_config(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def without_weights(folder: Path) -> None:
    (folder / "adapters.safetensors").unlink()


def empty_weights(folder: Path) -> None:
    (folder / "adapters.safetensors").write_bytes(b"")


def random_weights(folder: Path) -> None:
    (folder / "adapters.safetensors").write_bytes(b"\xa7" * 4096)


def half_the_weights(folder: Path) -> None:
    weights: Any = mx.load(str(folder / "adapters.safetensors"))
    mx.eval(weights)
    mx.save_safetensors(str(folder / "adapters.safetensors"), dict(list(weights.items())[::2]))


def other_rank(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    config["lora_parameters"]["rank"] = 16
    (folder / "adapter_config.json").write_text(json.dumps(config))


def no_scale(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    del config["lora_parameters"]["scale"]
    (folder / "adapter_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_config, "holds no adapter_config.json"),
        (broken_config, "cannot be read"),
        (without_weights, "adapters.safetensors is missing"),
        (empty_weights, "does not fit|cannot"),
        (random_weights, "does not fit|cannot"),
        (half_the_weights, "its file lacks .* and [0-9]+ more"),
        (other_rank, r"adapter shape .* does not match"),
        (no_scale, "lacks .*scale"),
    ],
)
def test_an_adapter_that_cannot_be_used_says_why(
    model_folder: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    adapter = trained(model_folder, tmp_path / "adapter", steps=1)
    damage(adapter)

    with pytest.raises(EngineFailed, match=words) as refused:
        engine_of(model_folder, adapter=adapter)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 800


def test_an_adapter_of_another_model_is_refused_with_the_layer_that_differs(model_folder: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", shape={**SHAPE, "hidden_size": 32})
    adapters = [trained(TINY, tmp_path / "tiny", steps=1), trained(other, tmp_path / "narrow", steps=1)]
    adapters += [peft(adapter, tmp_path / f"peft-{adapter.name}") for adapter in adapters]

    for adapter in adapters:
        with pytest.raises(EngineFailed, match=rf"adapter {adapter.name} does not fit random-llama: .*layers\."):
            engine_of(model_folder, adapter=adapter)


def test_an_adapter_that_is_a_file_is_refused(model_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "adapter.gguf"
    path.write_bytes(b"GGUF")

    with pytest.raises(EngineFailed, match="is no folder"):
        engine_of(model_folder, adapter=path)
