"""From a model's files and settings to an engine that has run once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import mlx.core as mx
from attrs import frozen

from lmx_hookspecs import Logger, ModelInfo, WorkerContext
from lmx_mlx import adapter, facts, kv_cache, lora
from lmx_mlx.blas import BlasThreads
from lmx_mlx.capabilities import capabilities_of
from lmx_mlx.config import MlxConfig
from lmx_mlx.drafting import drafter_of
from lmx_mlx.embedding_engine import MlxEmbeddingEngine
from lmx_mlx.embedding_loading import load_embedding_engine
from lmx_mlx.engine import MlxEngine
from lmx_mlx.kv_budget import KvBudget
from lmx_mlx.memory import Memory
from lmx_mlx.model import LoadedModel
from lmx_mlx.opening import disk_tier
from lmx_mlx.prefix_cache import PrefixCache
from lmx_mlx.probing import Probe, probed
from lmx_mlx.reading import Read, folder_of, read, refuse_remote_code
from lmx_mlx.sampling import sample
from lmx_mlx.schedule import PrefillPace
from lmx_mlx.settings import KvQuantization, Settings
from lmx_mlx.solo import Solo
from lmx_mlx.speculating import Speculation, SpeculativeSolo
from lmx_mlx.tokenizer import MlxTokenizer
from lmx_mlx.weights import makes_embeddings


@frozen(kw_only=True)
class Abilities:
    """What the caches of a model and its settings allow."""

    merges: bool
    """Rows could share a batch."""
    batches: bool
    """They do."""
    keeps_prefixes: bool


def load_engine(ctx: WorkerContext, info: ModelInfo) -> MlxEngine | MlxEmbeddingEngine:
    """Load, convert and warm up; raises an LmxError that says what is wrong with the model's files or settings."""
    config, settings, folder = ctx.config or MlxConfig(), Settings.of(info.settings), folder_of(info)
    settings.check()
    if not settings.ignore_remote_code:
        refuse_remote_code(folder, info.id)
    memory = Memory(mx=mx, cache_limit_gb=settings.metal_cache_limit_gb)
    memory.limit()
    if makes_embeddings(folder):
        return load_embedding_engine(info, folder, settings, memory, float32_on_cpu=config.float32_on_cpu)
    return load_text_engine(ctx.log, info, config, settings, memory)


def load_text_engine(log: Logger, info: ModelInfo, config: MlxConfig, settings: Settings, memory: Memory) -> MlxEngine:
    """Of a model that makes text."""
    files = read(folder_of(info), info.id, float32_on_cpu=config.float32_on_cpu, adapter_folder=info.adapter)
    able = _abilities(files.network, config, settings)
    blas = BlasThreads()
    blas.suit(facts.weight_bytes(files.network))
    with blas.used(for_prompts=True):
        probe = probed(files.network, info.id, settings.kv_quantization)
    model = _model(files, info, settings, probe, able)
    speculation = _speculation(model, info, config, settings)
    prefix_cache = PrefixCache(max_bytes=config.prefix_cache_bytes) if able.keeps_prefixes else None
    return MlxEngine(
        model=model,
        max_rows=settings.completion_batch_size if able.batches else 1,
        new_batch=_new_batch(model, settings, able, speculation),
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
        prefix_cache=prefix_cache,
        memory=memory,
        blas=blas,
        log=log,
        speculation=speculation,
        disk=None if prefix_cache is None else disk_tier(log, prefix_cache, model, info, config),
    )


def _abilities(network: Any, config: MlxConfig, settings: Settings) -> Abilities:
    merges = kv_cache.can_batch(network)
    return Abilities(
        merges=merges,
        batches=merges and settings.batches,
        keeps_prefixes=merges and settings.prefix_cache_enabled and config.prefix_cache_bytes > 0,
    )


def _model(files: Read, info: ModelInfo, settings: Settings, probe: Probe, able: Abilities) -> LoadedModel:
    vocab_size = facts.vocab_size(files.network, probe.logits_width)
    tokenizer = MlxTokenizer(wrapper=files.wrapper, vocab_size=vocab_size)
    return LoadedModel(
        network=files.network,
        tokenizer=tokenizer,
        context_length=facts.context_length(files.description, settings.context_length),
        vocab_size=vocab_size,
        logits_width=probe.logits_width,
        weight_bytes=facts.weight_bytes(files.network),
        cache_bytes_per_token=probe.cache_bytes_per_token,
        capabilities=capabilities_of(
            chat=tokenizer.has_chat_template, batching=able.batches, prefix_cache=able.keeps_prefixes
        ),
        details={
            **facts.details(files.network, files.description),
            "adapter": lora.details(info.adapter),
            "kv_cache": _kv_details(probe, settings.kv_quantization),
        },
    )


def _speculation(model: LoadedModel, info: ModelInfo, config: MlxConfig, settings: Settings) -> Speculation | None:
    drafter = drafter_of(model, info, settings, float32_on_cpu=config.float32_on_cpu)
    return None if drafter is None else Speculation(drafter, settings.num_draft_tokens)


def _new_batch(
    model: LoadedModel, settings: Settings, able: Abilities, speculation: Speculation | None
) -> Callable[[], Any]:
    """What makes a lane's batch, or the one row that stands in for one."""
    ends = model.tokenizer.eos_token_ids
    new_layers = partial(kv_cache.new_layers, model.network, settings.kv_quantization)
    if speculation is not None:
        return partial(SpeculativeSolo, model.network, ends, new_layers, speculation)
    if not able.merges or settings.kv_quantization is not None:
        return partial(Solo, model.network, ends, new_layers)
    return partial(
        adapter.Batch,
        model.network,
        ends,
        sample=sample,
        max_rows=settings.completion_batch_size if able.batches else 1,
        prefill_rows=settings.prefill_batch_size,
    )


def _kv_details(probe: Probe, quantization: KvQuantization | None) -> dict[str, Any]:
    return {
        "types": sorted(probe.cache_types),
        "bytes_per_token": probe.cache_bytes_per_token,
        "bits": quantization and quantization.bits,
        "group_size": quantization and quantization.group_size,
    }
