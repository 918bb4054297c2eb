"""Performance settings as presets and clients write them, ours and the earlier system's, turned into model settings."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from lmx.config.schema import ModelSettings
from lmx.structure import StructureError, did_you_mean, structure
from lmx_hookspecs import BackendSpec, ModelInfo
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter

PARAM = "performance_overrides"
ROUTING = frozenset({"fallback", "adapters"})
"""Settings of a model that say who answers, not how: no load changes them."""
SETTINGS = tuple(field.name for field in attrs.fields(ModelSettings) if field.name not in ROUTING)
GROUPS = ("scheduler", "speculative")
"""Mappings inside the earlier system's settings."""
RENAMED: Mapping[str, str] = {
    "prefix_cache": "prefix_cache_enabled",
    "max_concurrent": "max_concurrent_requests",
    "max_num_seqs": "max_concurrent_requests",
    "scheduler_max_num_seqs": "max_concurrent_requests",
    "scheduler_prefill_batch_size": "prefill_batch_size",
    "scheduler_completion_batch_size": "completion_batch_size",
    "scheduler.max_num_seqs": "max_concurrent_requests",
    "scheduler.prefill_batch_size": "prefill_batch_size",
    "scheduler.completion_batch_size": "completion_batch_size",
    "speculative_model": "draft_model",
    "speculative_num_tokens": "num_draft_tokens",
    "speculative.draft_model": "draft_model",
    "speculative.num_tokens": "num_draft_tokens",
}
"""Names of the earlier system, and ours."""
IN_BYTES = "prefix caches are bounded in bytes now: plugins.mlx.prefix_cache_bytes"
GONE: Mapping[str, str] = {
    "cache_memory_percent": IN_BYTES,
    "scheduler_cache_memory_percent": IN_BYTES,
    "scheduler.cache_memory_percent": IN_BYTES,
}
"""Names of the earlier system that nothing honours, and why."""
COMPANIONS: Mapping[str, str] = {
    "speculative_num_tokens": "speculative_model",
    "speculative.num_tokens": "speculative.draft_model",
}
"""Names of the earlier system that say nothing without another one: there they had a value by default."""
KERNEL_SETTINGS = frozenset(
    {
        "backend",
        "max_concurrent_requests",
        "keep_alive_sec",
        "pinned",
        "memory_estimate_gb",
        "ignore_remote_code",
        "kv_budget_gb",
        "fallback",
    }
)
"""Settings that the kernel itself honours, whatever the engine."""

HOST_SETTINGS = frozenset({"dialect", "reasoning"})
"""Settings that the worker host honours, for every token-level engine."""


def model_settings(performance: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings, flat and checked; null is not set.

    Raises InvalidRequest for an unknown name or a value out of range, UnsupportedParameter for a name of the earlier
    system that nothing honours.
    """
    leaves = dict(_leaves(performance))
    for name in leaves:
        _check_name(name)
    written = {name: value for name, value in leaves.items() if COMPANIONS.get(name, name) in leaves}
    settings: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value in written.items():
        setting = RENAMED.get(name, name)
        if setting in SETTINGS:
            checked = _checked(name, setting, value)
            if setting in settings:
                checked = _joined(setting, settings[setting], checked, (sources[setting], name))
            settings[setting], sources[setting] = checked, name
    return settings


def refuse_unhonoured(asked: Collection[str], spec: BackendSpec, info: ModelInfo) -> None:
    """Raises UnsupportedParameter for settings that neither the kernel nor this backend honours."""
    honoured = KERNEL_SETTINGS | spec.settings | (HOST_SETTINGS if spec.level == "tokens" else frozenset())
    missing = sorted(set(asked) - honoured)
    if missing:
        raise UnsupportedParameter(
            f"the backend {spec.name!r} of model {info.id!r} does not honour {', '.join(missing)}: "
            f"leave it out; it honours {', '.join(sorted(honoured))}",
            param=f"{PARAM}.{missing[0]}",
        )


def honoured_part(performance: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings without those of the earlier system that nothing honours, and a line about each of these.

    For files that were written for the earlier system: a request that asks for them is refused by `model_settings`.
    """
    written = dict(_leaves(performance))
    notes = [f"performance.{name} is left out: {GONE[name]}" for name in written if name in GONE]
    return {name: value for name, value in written.items() if name not in GONE}, notes


def _leaves(performance: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is set, by its dotted name; raises InvalidRequest where a group is no mapping."""
    for name, value in performance.items():
        if name in GROUPS and value is not None:
            if not isinstance(value, Mapping):
                raise InvalidRequest(f"{name} must be a mapping", param=f"{PARAM}.{name}")
            yield from ((f"{name}.{inner}", item) for inner, item in value.items() if item is not None)
        elif value is not None:
            yield name, value


def _check_name(name: str) -> None:
    if name in GONE:
        raise UnsupportedParameter(f"{name} is not supported: {GONE[name]}; leave it out", param=f"{PARAM}.{name}")
    known = {*SETTINGS, *RENAMED}
    if name not in known:
        hint = did_you_mean(name, known) or f"; known are {', '.join(sorted(SETTINGS))}"
        raise InvalidRequest(f"{name} is no performance setting{hint}", param=f"{PARAM}.{name}")


def _checked(name: str, setting: str, value: Any) -> Any:
    try:
        return getattr(structure({setting: value}, ModelSettings), setting)
    except StructureError as error:
        raise InvalidRequest(f"{name} {error.problems[0].message}", param=f"{PARAM}.{name}") from None


def _joined(setting: str, first: Any, second: Any, names: tuple[str, str]) -> Any:
    """Two names for one setting: of two bounds on concurrency both hold, anything else must agree."""
    if setting == "max_concurrent_requests":
        return min(first, second)
    if first != second:
        raise InvalidRequest(f"{names[0]} and {names[1]} differ; set one of them", param=f"{PARAM}.{names[1]}")
    return first
