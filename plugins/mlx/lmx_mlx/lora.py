"""LoRA adapters (Hu et al., arXiv 2106.09685) laid over a loaded network: those of mlx-lm's trainer and those of PEFT.

Layers whose weights are not quantised are fused with theirs, so that an adapter costs nothing per token; over quantised
weights it stays beside them, since quantising the sum anew would change it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from lmx_hookspecs.errors import EngineFailed
from lmx_mlx import adapter, peft

CONFIG = "adapter_config.json"
WEIGHTS = "adapters.safetensors"
LEAVES = frozenset({"lora_a", "lora_b", "m"})
MOST_NAMED = 3
"""So many tensors are named in a message, the others counted."""


def apply(network: Any, folder: Path, model_id: str) -> None:
    """Lay the adapter over the network; raises EngineFailed where it is damaged or made for another model."""
    config = _config(folder)
    try:
        if "peft_type" in config:
            peft.apply(network, folder, config)
        else:
            _apply_native(network, folder, config)
        network.eval()
        mx.eval(network.parameters())
    except peft.CannotConvert as error:
        raise EngineFailed(
            f"adapter {folder.name} cannot be used exactly: {error}; merge it with PEFT, or train it with mlx-lm"
        ) from error
    except Exception as error:  # mlx-lm raises anything at an adapter whose layers are not there
        raise EngineFailed(
            f"adapter {folder.name} does not fit {model_id}: {_told(error)}; use the adapter with the model that it "
            "was trained on"
        ) from error


def fuse(network: Any) -> None:
    """Add the adapter to the weights that are not quantised."""
    fused = [
        (name, module.fuse())
        for name, module in network.named_modules()
        if hasattr(module, "fuse") and "lora_a" in module and not _is_quantised(module)
    ]
    if fused:
        network.update_modules(tree_unflatten(fused))
        mx.eval(network.parameters())


def details(folder: Path | None) -> Mapping[str, Any] | None:
    """What an operator wants to know of the adapter, if there is one."""
    if folder is None:
        return None
    config = _config(folder)
    parameters = config.get("lora_parameters") or {}
    return {
        "path": str(folder),
        "kind": "peft" if "peft_type" in config else config.get("fine_tune_type", "lora"),
        "rank": config.get("r") or parameters.get("rank"),
    }


def _config(folder: Path) -> Mapping[str, Any]:
    if folder.is_file():
        raise EngineFailed(f"{folder} is no folder; for MLX an adapter is a folder that mlx-lm or PEFT wrote")
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineFailed(f"{folder} holds no {CONFIG}; an adapter is a folder that mlx-lm or PEFT wrote") from error
    except (OSError, ValueError) as error:
        raise EngineFailed(f"{path} cannot be read: {error}; copy the adapter again") from error
    if not isinstance(config, dict):
        raise EngineFailed(f"{path} is no JSON object; copy the adapter again")
    return config


def _apply_native(network: Any, folder: Path, config: Mapping[str, Any]) -> None:
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"{WEIGHTS} is missing")
    given = set(mx.load(str(folder / WEIGHTS)))
    adapter.load_adapters(network, folder)
    if config.get("fine_tune_type") == "full":
        return
    wanted = {name for name, _ in tree_flatten(network.parameters()) if name.rsplit(".", 1)[-1] in LEAVES}
    if wanted - given:
        raise ValueError(f"its file lacks {named(sorted(wanted - given))}")
    if not wanted:
        raise ValueError("its configuration names no layer of this model")


def named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _told(error: Exception) -> str:
    """The first lines of mlx-lm's list of tensors, in one line."""
    if isinstance(error, KeyError):
        return f"its configuration lacks {error}"
    lines = [line.strip() for line in (str(error) or repr(error)).splitlines()]
    head = lines[1:] if len(lines) > 1 and lines[0].endswith("incompatible tensors:") else lines
    return named(head)


def _is_quantised(module: Any) -> bool:
    inner = module.linear if "linear" in module else module.embedding
    return "scales" in inner
