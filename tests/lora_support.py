"""LoRA adapters as mlx-lm's trainer makes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx import optimizers
from mlx.nn import losses, value_and_grad
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

PARAMETERS: Mapping[str, Any] = {"rank": 4, "scale": 8.0, "dropout": 0.3}


def trained(base: Path, folder: Path, *, steps: int = 6, kind: str = "lora") -> Path:
    """An adapter of a few training steps, as mlx-lm's trainer writes it."""
    network, _ = load_model(base)
    network.set_dtype(mx.float32)
    network.freeze()
    mx.random.seed(3)
    config = {"fine_tune_type": kind, "num_layers": 2, "lora_parameters": dict(PARAMETERS)}
    linear_to_lora_layers(network, 2, PARAMETERS, use_dora=kind == "dora")
    tokens = mx.random.randint(0, 400, (2, 32))

    def loss(inputs: Any) -> Any:
        return losses.cross_entropy(network(inputs[:, :-1]), inputs[:, 1:], reduction="mean")

    optimizer, gradient = optimizers.Adam(learning_rate=1e-2), value_and_grad(network, loss)
    for _ in range(steps):
        optimizer.update(network, gradient(tokens)[1])
        mx.eval(network.parameters(), optimizer.state)
    folder.mkdir()
    weights = dict(tree_flatten(network.trainable_parameters()))
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
