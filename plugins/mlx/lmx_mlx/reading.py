"""From a folder of safetensors to a network in memory, with its adapter; what is wrong with it, in our terms."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from attrs import frozen

from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable
from lmx_mlx import checkpoints, lora
from lmx_mlx.weights import is_quantised


@frozen(eq=False)
class Read:
    """What a folder held: mlx-lm's network and tokenizer, and the configuration."""

    network: Any
    wrapper: Any
    description: Mapping[str, Any]


def folder_of(info: ModelInfo) -> Path:
    """Where the model's files are; raises EngineFailed."""
    if info.path is None or not info.path.is_dir():
        raise EngineFailed(f"{info.id} has no folder on disk; check models.directories")
    return info.path


def read(folder: Path, model_id: str, *, float32_on_cpu: bool, adapter_folder: Path | None = None) -> Read:
    """Read, convert and compute all weights; raises an LmxError that says what is wrong with the files."""
    try:
        network, wrapper, description = checkpoints.load(folder)
        if float32_on_cpu and mx.default_device() == mx.cpu and not is_quantised(description):
            network.set_dtype(mx.float32)
        mx.eval(network.parameters())
    except Exception as error:  # mlx-lm and transformers raise anything at a damaged or unknown model
        raise load_error(folder, error) from error
    if adapter_folder is not None:
        lora.apply(network, adapter_folder, model_id)
        lora.fuse(network)
    return Read(network, wrapper, description)


def refuse_remote_code(folder: Path, model_id: str) -> None:
    """Raises Unavailable for a model that wants its own Python code to be run."""
    for name in ("config.json", "tokenizer_config.json"):
        if json_of(folder / name).get("auto_map"):
            raise Unavailable(
                f"{model_id} asks for its own Python code to be run (auto_map in {name}), which LMX does not do; "
                f"models.settings.{model_id}.ignore_remote_code: true loads it with mlx-lm's own implementation, if "
                "there is one",
                code="no_engine",
            )


def json_of(path: Path) -> Mapping[str, Any]:
    """A JSON file of the model, empty where it is missing; raises EngineFailed where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineFailed(f"{path} cannot be read: {error}; download the model again") from error
    return content if isinstance(content, dict) else {}


def json_list_of(path: Path) -> Sequence[Mapping[str, Any]]:
    """A JSON file that holds a list of objects, empty where it is missing; raises EngineFailed as `json_of` does."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise EngineFailed(f"{path} cannot be read: {error}; download the model again") from error
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def load_error(folder: Path, error: Exception) -> LmxError:
    """What mlx-lm says of a model folder, in our terms."""
    message = str(error)
    if "not supported" in message and "Model type" in message:
        return Unavailable(f"{folder.name}: mlx-lm does not know this architecture: {message}", code="no_engine")
    if "requires importing" in message or "trust_remote_code" in message:
        return Unavailable(f"{folder.name} needs its own Python code, which LMX does not run", code="no_engine")
    return EngineFailed(
        f"{folder.name} cannot be loaded: {message or repr(error)}; check its files, or download it again"
    )
