"""Adapters in PEFT's format: converted where that is exact, refused where it is not.

Format: https://huggingface.co/docs/peft/developer_guides/checkpoint (names of the PyTorch modules, A as rank x inputs,
B as outputs x rank; mlx-lm keeps both transposed).
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from attrs import frozen
from mlx import nn
from mlx.utils import tree_unflatten

from lmx_mlx import adapter

WEIGHTS = "adapter_model.safetensors"
TENSOR = re.compile(r"base_model\.model\.(?P<path>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")
UNLIKE_LORA = (
    "use_dora",
    "modules_to_save",
    "fan_in_fan_out",
    "alpha_pattern",
    "layer_replication",
    "lora_bias",
    "trainable_token_indices",
    "megatron_config",
    "use_qalora",
    "target_parameters",
    "alora_invocation_tokens",
    "arrow_config",
)
"""Options that change more than two matrices per layer: an adapter that uses one is refused."""

ON_THE_SAME_BASE = frozenset({"gaussian", "eva", "orthogonal"})
"""Ways of `init_lora_weights` to begin that leave the base as it is; PiSSA, OLoRA, CorDA and LoftQ train on what is
left of it once their matrices are taken away, and over the whole base those would count twice."""


class CannotConvert(Exception):
    """The adapter does something that two matrices beside a layer cannot say."""


@frozen
class Pair:
    """The two matrices of one layer, as PEFT keeps them."""

    a: Any
    b: Any

    @property
    def rank(self) -> int:
        """Inner dimension."""
        return int(self.a.shape[0])


def apply(network: Any, folder: Path, config: Mapping[str, Any]) -> None:
    """Lay the adapter over the network; raises CannotConvert, and ValueError where it was made for another model."""
    _check(config)
    if not (folder / WEIGHTS).is_file():
        raise CannotConvert(f"{WEIGHTS} is missing (weights in pickles are never opened)")
    tensors: Any = mx.load(str(folder / WEIGHTS))
    pairs = _pairs(tensors)
    modules = dict(network.named_modules())
    layers = [(path, _layer(modules.get(path), path, pair, config)) for path, pair in pairs.items()]
    _check_names(network, modules, pairs)
    network.update_modules(tree_unflatten(layers))


def _check(config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CannotConvert(f"it is of PEFT's type {kind}, and only LORA can be converted")
    used = [name for name in UNLIKE_LORA if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    began = config.get("init_lora_weights")
    if isinstance(began, str) and began.lower() not in ON_THE_SAME_BASE:
        used.append(f"init_lora_weights {began}, which changes the base")
    if used:
        raise CannotConvert(f"it uses PEFT's {', '.join(used)}")


def _pairs(tensors: Mapping[str, Any]) -> Mapping[str, Pair]:
    sides: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        match = TENSOR.fullmatch(name)
        if match is None:
            raise CannotConvert(f"tensor {name} is no LoRA matrix of a linear layer")
        sides.setdefault(match["path"], {})[match["side"]] = tensor
    halves = [path for path, pair in sides.items() if len(pair) != 2]
    if halves or not sides:
        raise ValueError(f"{WEIGHTS} is incomplete: {', '.join(halves[:3]) or 'it holds no matrices'}")
    return {path: Pair(pair["A"], pair["B"]) for path, pair in sides.items()}


def _layer(module: Any, path: str, pair: Pair, config: Mapping[str, Any]) -> Any:
    """A LoRA layer over `module`; PEFT scales by alpha / r, or by alpha / sqrt(r) (rsLoRA, arXiv 2312.03732)."""
    if module is None or not isinstance(module, nn.Linear | nn.QuantizedLinear):
        raise ValueError(f"the model has no linear layer {path}")
    outputs, inputs = _shape(module)
    if (pair.a.shape[1], pair.b.shape[0]) != (inputs, outputs) or pair.b.shape[1] != pair.rank:
        raise ValueError(
            f"{path} has {inputs} inputs and {outputs} outputs, and the adapter's matrices {tuple(pair.a.shape)} and "
            f"{tuple(pair.b.shape)}"
        )
    alpha = float(config.get("lora_alpha", 8))
    scale = alpha / (math.sqrt(pair.rank) if config.get("use_rslora") else pair.rank)
    layer = adapter.LoRALinear.from_base(module, r=pair.rank, scale=scale, dropout=0.0)
    layer.lora_a, layer.lora_b = pair.a.T, pair.b.T
    return layer


def _shape(module: Any) -> tuple[int, int]:
    outputs, inputs = module.weight.shape
    return (outputs, inputs * 32 // module.bits) if isinstance(module, nn.QuantizedLinear) else (outputs, inputs)


def _check_names(network: Any, modules: Mapping[str, Any], paths: Iterable[str]) -> None:
    """Refuse architectures whose weights mlx-lm renames, scales or reorders on the way in: the matrices would not fit.

    Random weights of each kind of layer go through the same door as those of the model did, and must come out as is.
    """
    sanitize = getattr(network, "sanitize", None)
    if sanitize is None:
        return
    for path in {re.sub(r"\d+", "#", path): path for path in paths}.values():
        name, weight = f"{path}.weight", mx.random.normal(_shape(modules[path]))
        try:
            kept = sanitize({name: weight}).get(name)
        except Exception as error:  # it may miss the other weights; then nothing is known
            raise CannotConvert(f"mlx-lm rearranges the weights of this architecture ({error!r})") from error
        if kept is None or kept.shape != weight.shape or not mx.array_equal(kept, weight).item():
            raise CannotConvert(f"mlx-lm changes {path} of this architecture when it loads it")
