"""How the kernel's parts are made from the configuration and from what the plugins offer."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import attrs

from lmx.canonical import Canonicaliser
from lmx.config import Config
from lmx.config.schema import Models, Presets, Prompts, Workers
from lmx.log import logger
from lmx.models.catalogue import Backend, Catalogue
from lmx.models.resident import Resident
from lmx.plugins import Offer, Registry, Status
from lmx.structure import unstructure
from lmx.unmasked import JudgeOf
from lmx.workers import Deaths, EngineHandle, TextPlugins, engine_handle
from lmx.workers.reranking import backend_of
from lmx_hookspecs import Context, ModelInfo
from lmx_hookspecs.http import Describable

PRESETS_FOLDER = "presets"


def described(parts: Mapping[str, Any]) -> dict[str, Any]:
    """What those of these parts that can describe themselves say."""
    return {name: part.describe() for name, part in parts.items() if isinstance(part, Describable)}


def described_models(loaded: Iterable[Resident]) -> dict[str, Any]:
    """What the engines of these models say."""
    return {resident.info.id: {**resident.engine.describe(), "state": resident.shown_state} for resident in loaded}


def sources_of(registry: Registry) -> list[Offer]:
    """The model sources, the first in precedence first."""
    return sorted(registry.specs("lmx_model_sources"), key=lambda offer: -offer.spec.priority)


def backends_of(registry: Registry) -> list[Backend]:
    """The engines, and what becomes of the rerankers."""
    engines = [Backend(offer.plugin, offer.spec) for offer in registry.specs("lmx_backends")]
    rerankers = [Backend(offer.plugin, backend_of(offer.spec)) for offer in registry.specs("lmx_rerankers")]
    return [*engines, *rerankers]


def catalogue_of(models: Models, registry: Registry, sources: Mapping[str, Any]) -> Catalogue:
    """What could be loaded."""
    return Catalogue(
        sources,
        backends_of(registry),
        settings=entries_of(models),
        defaults={
            "mode": None if models.use_batching else "single",
            "completion_batch_size": models.scheduler_completion_batch_size,
            "prefill_batch_size": models.scheduler_prefill_batch_size,
            "prefix_cache_enabled": models.prefix_cache_enabled,
            "metal_cache_limit_gb": models.metal_cache_limit_gb,
            "kv_bits": models.kv_bits,
            "kv_group_size": models.kv_group_size,
        },
        hints={record.name: record.advice or "" for record in registry.records if record.status is Status.IDLE},
    )


def canonicaliser(prompts: Prompts) -> Canonicaliser:
    """What changes prompts, as far as the configuration asks for it."""
    if not prompts.canonicalise:
        return Canonicaliser()
    return Canonicaliser(sort_tools=True, volatile=[re.compile(written) for written in prompts.volatile_lines])


def judges(registry: Registry) -> list[JudgeOf]:
    """What checks the JSON of engines that draw without masks."""
    return [offer.spec.judge for offer in registry.specs("lmx_constraints") if offer.spec.judge is not None]


def entries_of(models: Models) -> dict[str, Mapping[str, Any]]:
    """What `models.settings` really sets, by model."""
    return {model_id: _given(entry) for model_id, entry in models.settings.items()}


def deaths_of(workers: Workers) -> Callable[[], Deaths]:
    """Makes a fresh count of failed loads."""
    return partial(
        Deaths,
        monotonic,
        workers.quarantine_window_s,
        workers.quarantine_after,
        workers.restart_pause_s,
        workers.max_restart_pause_s,
    )


def text_plugins(registry: Registry) -> TextPlugins:
    """The plugins that offer dialects and constraints, each once a hook."""
    hooks = ("lmx_dialects", "lmx_constraints")
    return {hook: list(dict.fromkeys(offer.plugin for offer in registry.specs(hook))) for hook in hooks}


def engine_of(
    config: Config, registry: Registry, context: Context, backend: Backend, info: ModelInfo, *, changed: Any
) -> EngineHandle:
    """An engine, not yet started; `context` is that of the backend's plugin."""
    return engine_handle(
        backend.spec,
        plugin=backend.plugin,
        plugin_config=unstructure(config.plugin(backend.plugin)) or {},
        model=info,
        settings=config.section("workers"),
        log=logger(f"worker.{backend.plugin}"),
        on_change=changed,
        context=context,
        interpreter=registry.interpreter(backend.plugin),
        text_plugins=text_plugins(registry),
    )


def presets_folder(presets: Presets, config_dir: Path | None) -> Path | None:
    """The configured folder, else `presets` beside the configuration."""
    if presets.directory is not None:
        return presets.directory
    return config_dir / PRESETS_FOLDER if config_dir else None


def _given(entry: Any) -> dict[str, Any]:
    """The settings that an entry really sets."""
    plain = attrs.asdict(entry) if attrs.has(type(entry)) else dict(entry)
    return {name: value for name, value in plain.items() if value is not None}
