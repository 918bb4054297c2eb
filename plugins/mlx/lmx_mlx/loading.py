"""From a folder of safetensors to an engine that has run once."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten

from lmx_hookspecs import ModelInfo, WorkerContext
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable
from lmx_mlx import adapter, kv_cache
from lmx_mlx.capabilities import capabilities_of
from lmx_mlx.config import MlxConfig
from lmx_mlx.engine import MlxEngine
from lmx_mlx.kv_budget import KvBudget
from lmx_mlx.memory import Memory
from lmx_mlx.model import LoadedModel
from lmx_mlx.prefix_cache import PrefixCache
from lmx_mlx.probing import Probe, probed
from lmx_mlx.sampling import sample
from lmx_mlx.schedule import PrefillPace
from lmx_mlx.settings import KvQuantization, Settings
from lmx_mlx.solo import Solo
from lmx_mlx.tokenizer import MlxTokenizer

CONTEXT_KEYS = (
    "max_position_embeddings",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
    "n_positions",
    "n_ctx",
    "model_max_length",
)
UNKNOWN_CONTEXT = 4096
"""For the rare configuration that says nothing of its context."""


def load_engine(ctx: WorkerContext, info: ModelInfo) -> MlxEngine:
    """Load, convert and warm up; raises an LmxError that says what is wrong with the model's files or settings."""
    config, settings = ctx.config or MlxConfig(), Settings.of(info.settings)
    settings.check()
    memory = Memory(mx=mx, cache_limit_gb=settings.metal_cache_limit_gb)
    memory.limit()
    network, wrapper, description = _read(_folder(info), info, config, settings)
    mergeable = kv_cache.can_batch(network)
    batching = mergeable and settings.batches
    keeps_prefixes = mergeable and settings.prefix_cache_enabled and config.prefix_cache_bytes > 0
    probe = probed(network, info.id, settings.kv_quantization)
    model = _model(network, wrapper, description, settings, probe, batching=batching, keeps_prefixes=keeps_prefixes)
    max_rows = settings.completion_batch_size if batching else 1
    in_batches = mergeable and settings.kv_quantization is None
    return MlxEngine(
        model=model,
        max_rows=max_rows,
        new_batch=_batches(model, max_rows, settings) if in_batches else _solos(model, settings),
        padding_ratio=config.lane_padding_ratio,
        pace=PrefillPace(
            budget_s=config.prefill_budget_ms / 1000,
            idle_budget_s=config.idle_prefill_budget_ms / 1000,
            tokens_per_s=probe.tokens_per_s,
        ),
        kv_budget=KvBudget.of(
            settings.kv_budget_gb,
            bytes_per_token=model.cache_bytes_per_token,
            context_length=model.context_length,
        ),
        prefix_cache=PrefixCache(max_bytes=config.prefix_cache_bytes) if keeps_prefixes else None,
        memory=memory,
        log=ctx.log,
    )


def _model(
    network: Any,
    wrapper: Any,
    description: Mapping[str, Any],
    settings: Settings,
    probe: Probe,
    *,
    batching: bool,
    keeps_prefixes: bool,
) -> LoadedModel:
    vocab_size = min(probe.logits_width, _embedding_rows(network) or probe.logits_width)
    tokenizer = MlxTokenizer(wrapper=wrapper, vocab_size=vocab_size)
    return LoadedModel(
        network=network,
        tokenizer=tokenizer,
        context_length=_context_length(description, settings.context_length),
        vocab_size=vocab_size,
        weight_bytes=_weight_bytes(network),
        cache_bytes_per_token=probe.cache_bytes_per_token,
        capabilities=capabilities_of(chat=tokenizer.has_chat_template, batching=batching, prefix_cache=keeps_prefixes),
        details={**_details(network, description), "kv_cache": _kv_details(probe, settings.kv_quantization)},
    )


def _batches(model: LoadedModel, max_rows: int, settings: Settings) -> Callable[[], adapter.Batch]:
    return partial(
        adapter.Batch,
        model.network,
        model.tokenizer.eos_token_ids,
        sample=sample,
        max_rows=max_rows,
        prefill_rows=settings.prefill_batch_size,
    )


def _solos(model: LoadedModel, settings: Settings) -> Callable[[], Solo]:
    new_layers = partial(kv_cache.new_layers, model.network, settings.kv_quantization)
    return partial(Solo, model.network, model.tokenizer.eos_token_ids, new_layers)


def _folder(info: ModelInfo) -> Path:
    if info.path is None or not info.path.is_dir():
        raise EngineFailed(f"{info.id} has no folder on disk; check models.directories")
    return info.path


def _read(folder: Path, info: ModelInfo, config: MlxConfig, settings: Settings) -> tuple[Any, Any, dict[str, Any]]:
    if not settings.ignore_remote_code:
        _refuse_remote_code(folder, info.id)
    try:
        network, wrapper, description = adapter.load(folder)
        if config.float32_on_cpu and mx.default_device() == mx.cpu and not _quantised(description):
            network.set_dtype(mx.float32)
        mx.eval(network.parameters())
    except Exception as error:  # mlx-lm and transformers raise anything at a damaged or unknown model
        raise load_error(folder, error) from error
    return network, wrapper, description


def _refuse_remote_code(folder: Path, model_id: str) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        if _json(folder / name).get("auto_map"):
            raise Unavailable(
                f"{model_id} asks for its own Python code to be run (auto_map in {name}), which LMX does not do; "
                f"models.settings.{model_id}.ignore_remote_code: true loads it with mlx-lm's own implementation, if "
                "there is one",
                code="no_engine",
            )


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineFailed(f"{path} cannot be read: {error}; download the model again") from error
    return content if isinstance(content, dict) else {}


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


def _quantised(description: Mapping[str, Any]) -> bool:
    return "quantization" in description or "quantization_config" in description


def _context_length(description: Mapping[str, Any], wanted: int | None) -> int:
    levels = (description, description.get("text_config") or {})
    found = (level[key] for level in levels for key in CONTEXT_KEYS if isinstance(level.get(key), int))
    longest = next((length for length in found if length > 0), UNKNOWN_CONTEXT)
    return longest if wanted is None else min(longest, wanted)


def _embedding_rows(network: Any) -> int | None:
    tables = [module for module in network.modules() if isinstance(module, nn.Embedding | nn.QuantizedEmbedding)]
    rows = [table.weight.shape[0] for table in tables]
    # Tables of positions or token types are short beside those of tokens.
    return min((count for count in rows if count > max(rows) // 2), default=None)


def _weight_bytes(network: Any) -> int:
    return sum(array.nbytes for _, array in tree_flatten(network.parameters()))


def _details(network: Any, description: Mapping[str, Any]) -> dict[str, Any]:
    types = {str(array.dtype).removeprefix("mlx.core.") for _, array in tree_flatten(network.parameters())}
    return {
        "architecture": description.get("model_type"),
        "device": "metal" if mx.metal.is_available() else str(mx.default_device()),
        "dtypes": sorted(types),
        "quantization": description.get("quantization"),
        "weight_bytes": _weight_bytes(network),
    }


def _kv_details(probe: Probe, quantization: KvQuantization | None) -> dict[str, Any]:
    return {
        "types": sorted(probe.cache_types),
        "bytes_per_token": probe.cache_bytes_per_token,
        "bits": quantization and quantization.bits,
        "group_size": quantization and quantization.group_size,
    }
