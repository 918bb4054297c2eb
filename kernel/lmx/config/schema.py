"""The kernel's own sections: every key with its type, default, range and meaning."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import Attribute, frozen

from lmx.config.rag import Rag
from lmx.config.server import Server
from lmx_hookspecs import option

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
VOLATILE_LINES = (
    r"x-anthropic-[\w-]+:.*",
    r"(?i)(#+ )?(the )?(current|today's) (local )?(date|time|datetime)\b.*",
    r"(?i)(#+ )?(date|time|now|timestamp): .*\d.*",
)
"""Claude Code's accounting header, which holds a checksum of the request, and the usual ways to tell the time."""


@frozen(kw_only=True)
class ModelSettings:
    """What one model does differently; null keeps the general setting.

    Beside these keys an entry may hold the keys of a plugin, under the plugin's name.
    """

    backend: str | None = option(
        None, "the backend that opens it; null is the active one with the highest score for its format", min_length=1
    )
    mode: Literal["batch", "single"] | None = option(None, "single runs one request at a time")
    context_length: int | None = option(None, "tokens of context, at most what the model was made for", ge=1)
    max_concurrent_requests: int | None = option(None, "rows that run in it at once", ge=1, le=1024)
    prefix_cache_enabled: bool | None = option(None, "keep the KV caches of earlier prompts")
    ignore_remote_code: bool | None = option(
        None, "open a model that brings Python code without ever running that code"
    )
    completion_batch_size: int | None = option(None, "rows that decode together", ge=1, le=256)
    prefill_batch_size: int | None = option(None, "prompts that are prefilled together", ge=1, le=64)
    kv_bits: Literal[4, 8] | None = option(None, "bits of a quantised KV cache; runs one request at a time")
    kv_group_size: Literal[32, 64, 128] | None = option(None, "values that share a scale in a quantised KV cache")
    kv_budget_gb: float | None = option(
        None, "memory set aside for KV caches; null is 4 rows of 4,096 tokens", gt=0, le=100_000
    )
    memory_estimate_gb: float | None = option(None, "what the model takes, in place of the estimate", gt=0, le=100_000)
    keep_alive_sec: float | None = option(None, "seconds of idleness after which it is unloaded; 0 is never", ge=0)
    pinned: bool | None = option(None, "never unload it to make room, nor for idleness")
    fallback: Sequence[str] | None = option(None, "models to try, in order, while this one cannot answer")
    dialect: str | None = option(None, "how it writes tool calls: a dialect, or none; null finds it", min_length=1)
    reasoning: Literal["auto", "open", "off"] | None = option(
        None, "open: answers begin inside reasoning; off: it stays in the text"
    )
    adapters: Mapping[str, Path] | None = option(
        None, "LoRA adapters by name, each a folder or a file: `<id>:<name>` is the model with that adapter"
    )
    draft_model: str | None = option(
        None, "id of a smaller model of the same format that drafts tokens for this one", min_length=1
    )
    num_draft_tokens: int | None = option(None, "tokens that are drafted at a time", ge=1, le=16)
    prompt_lookup: bool | None = option(None, "draft from the prompt itself, without a model")
    gpu_layers: int | None = option(None, "layers on the GPU; -1 is all, 0 none", ge=-1)

    @adapters.validator
    def _speakable(self, attribute: "Attribute[Any]", value: Mapping[str, Path] | None) -> None:
        for name in value or ():
            if not name or ":" in name or "/" in name or not name.isprintable() or any(map(str.isspace, name)):
                raise ValueError("must have names without white space, colons and slashes", attribute)


@frozen(kw_only=True)
class Models:
    """Where models are, and how they run."""

    directories: Sequence[Path] = option((), "folders with models: Hugging Face folders and GGUF files; ~ is home")
    default_model: str | None = option(None, "the model for requests that ask for `auto`", min_length=1, restart=False)
    auto_load: Sequence[str] = option((), "models to load at start")
    restore: bool = option(True, "after an unclean stop, load again what was loaded")
    memory_budget_gb: float | None = option(
        None,
        "memory that all models together may hold; null is memory.max_memory_percent",
        gt=0,
        le=100_000,
        restart=False,
    )
    preload_predicted: bool = option(
        False, "load ahead the model that is likely to be asked for next, where it fits as it is", restart=False
    )
    jit_load: bool = option(True, "load a model that is on disk when a request asks for it", restart=False)
    max_concurrent_requests: int | None = option(
        None, "requests that run in one model at once; null is the engine's batch size", ge=1, le=64, restart=False
    )
    inference_timeout_sec: int = option(300, "seconds that one request may take", ge=10, le=3600, restart=False)
    warmup_on_load: bool = option(True, "run a short generation before a model counts as ready", restart=False)
    use_batching: bool = option(True, "advance several requests together; false is mode single for every model")
    scheduler_completion_batch_size: int = option(32, "rows that decode together", ge=1, le=256)
    scheduler_prefill_batch_size: int = option(8, "prompts that are prefilled together", ge=1, le=64)
    prefix_cache_enabled: bool = option(True, "keep the KV caches of earlier prompts, bounded in bytes")
    kv_bits: Literal[4, 8] | None = option(None, "bits of quantised KV caches; such a model runs one request at a time")
    kv_group_size: Literal[32, 64, 128] = option(64, "values that share a scale in a quantised KV cache")
    metal_cache_limit_gb: float | None = option(None, "limit of Metal's buffer cache; null is MLX's own", ge=0.5)
    settings: Mapping[str, Mapping[str, Any]] = option(
        factory=dict,
        doc="settings of single models, by id; beside these keys also those of a plugin, under its name",
        restart=False,
    )


@frozen(kw_only=True)
class Memory:
    """How much of the machine models may hold, and what makes room."""

    max_memory_percent: int = option(
        90, "share of the machine's memory that all models together may hold", ge=50, le=99, restart=False
    )
    auto_evict_lru: bool = option(
        True,
        "unload idle models that are not pinned, least recently used first, when another needs room",
        restart=False,
    )
    ttl_enabled: bool = option(False, "unload models that nobody has used for ttl_seconds", restart=False)
    ttl_seconds: int = option(3600, "seconds of idleness after which a model is unloaded", ge=60, restart=False)
    ttl_check_interval_sec: int = option(
        60, "seconds between two looks at what models measure and at idle caches", ge=10, restart=False
    )


@frozen(kw_only=True)
class Routing:
    """From the name in a request to a model."""

    aliases: Mapping[str, Sequence[str]] = option(
        factory=dict, doc="other names for models: each lists the models to try, in order", restart=False
    )
    default_model: str | None = option(None, "the same key as models.default_model", min_length=1, restart=False)


@frozen(kw_only=True)
class Presets:
    """Named ways to ask a model: `preset:<name>`."""

    enabled: bool = option(True, "read the presets folder", restart=False)
    directory: Path | None = option(
        None, "the folder with one YAML file per preset; null is `presets` beside the configuration", restart=False
    )


@frozen(kw_only=True)
class StackPreset:
    """Which model plays which role; activated over HTTP."""

    description: str = option("", "for people", restart=False)
    roles: Mapping[str, str] = option(factory=dict, doc="alias to model id", restart=False)


@frozen(kw_only=True)
class Prompts:
    """What is done to prompts before a model sees them."""

    canonicalise: bool = option(
        False,
        "list tools by name, and move lines that change with every request from the instructions to the newest "
        "message, so that prefix caches hit; the answer's warnings say what was changed",
        restart=False,
    )
    volatile_lines: Sequence[str] = option(
        VOLATILE_LINES,
        "regular expressions, each for a whole line of the instructions: what canonicalise moves",
        restart=False,
    )

    @volatile_lines.validator
    def _expressions(self, attribute: "Attribute[Any]", value: Sequence[str]) -> None:
        for written in value:
            try:
                re.compile(written)
            except re.error as error:
                raise ValueError(
                    f"must hold regular expressions, and {written!r} is none: {error}", attribute
                ) from None


@frozen(kw_only=True)
class Scheduling:
    """Who may enter an engine next."""

    policy: str = option("priority", "name of the scheduler: `lmx plugins list` shows which there are", min_length=1)


@frozen(kw_only=True)
class Workers:
    """Supervision of the processes that hold models."""

    step_timeout_sec: float = option(120.0, "seconds that one engine step may take before its worker is ended", ge=1)
    heartbeat_interval_s: float = option(
        1.0, "seconds between two beats of a worker; three missed ones end it", ge=0.05, le=60
    )
    stream_interval_ms: float = option(
        20.0,
        "least milliseconds between two pieces of one answer, its first and last apart: tokens that come faster travel "
        "together, which leaves the engine more of the processor; 0 sends each by itself",
        ge=0,
        le=1000,
    )
    restart_pause_s: float = option(0.5, "seconds before a worker starts again; doubles with each death", ge=0, le=60)
    max_restart_pause_s: float = option(30.0, "longest pause in seconds before a worker starts again", ge=0, le=3600)
    quarantine_after: int = option(3, "deaths within quarantine_window_s after which a model is left alone", ge=1)
    quarantine_window_s: float = option(300.0, "seconds in which deaths count towards quarantine", gt=0)
    stop_grace_s: float = option(5.0, "seconds that a worker gets to end before it is killed", ge=0, le=600)
    interpreters: Mapping[str, Path] = option(
        factory=dict,
        doc="another Python for the workers of a plugin, by the plugin's name: what runs the environment that it is "
        "installed in; without one, that of `lmx plugins install NAME --isolated` where there is such an environment",
    )
    start_timeout_s: float = option(600.0, "seconds from the start of a worker to its model being ready", gt=0)


@frozen(kw_only=True)
class Logging:
    """The log on standard error, and in a file."""

    level: str = option("INFO", "least level that is logged", choices=LEVELS, restart=False)
    format: str = option(
        "auto",
        "structured is one JSON object a line; auto is text on a terminal and structured elsewhere",
        choices=("auto", "structured", "text"),
    )
    file: Path | None = option(None, "a file to log to as well")
    max_file_bytes: int = option(50 * 2**20, "size in bytes at which the file is rotated", ge=2**10)
    backup_count: int = option(5, "rotated files that are kept", ge=0, le=20)


@frozen(kw_only=True)
class Security:
    """Who may call."""

    api_keys: Sequence[str] = option(
        (), "keys for /v1; none leaves it open, on loopback only", secret=True, restart=False
    )
    admin_key: str | None = option(
        None, "key for /admin, sent as X-Admin-Key", min_length=1, secret=True, restart=False
    )

    @api_keys.validator
    def _no_empty_key(self, attribute: "Attribute[Any]", value: Sequence[str]) -> None:
        if not all(value):
            raise ValueError("must not hold an empty key", attribute)


SECTIONS: Mapping[str, Any] = {
    "server": Server,
    "models": Models,
    "memory": Memory,
    "routing": Routing,
    "presets": Presets,
    "stack_presets": Mapping[str, StackPreset],
    "prompts": Prompts,
    "rag": Rag,
    "scheduling": Scheduling,
    "workers": Workers,
    "logging": Logging,
    "security": Security,
}
"""By name: an attrs class, or a Mapping for a section whose keys are names that somebody chose."""
