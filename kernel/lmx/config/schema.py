"""The kernel's own sections: every key with its type, default, range and meaning."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import Attribute, frozen

from lmx_hookspecs import option

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@frozen(kw_only=True)
class Server:
    """The HTTP server."""

    host: str = option("127.0.0.1", "address to listen on; beyond loopback only with keys, see security", min_length=1)
    port: int = option(1234, "TCP port; 0 takes any free one", ge=0, le=65535)
    workers: int = option(1, "always 1: one kernel owns the machine; scale with nodes")
    timeout_sec: int = option(300, "seconds after which an idle keep-alive connection is closed", ge=1)
    max_body_bytes: int = option(16 * 2**20, "largest request body", ge=2**10, le=2**30)
    shutdown_grace_s: float = option(
        30.0, "seconds that running requests get to end when the server stops", ge=0, le=600
    )
    headers_after_s: float = option(
        10.0, "seconds without a first piece after which a stream sends its headers all the same", gt=0, le=600
    )
    sse_heartbeat_interval_sec: int = option(30, "seconds of silence after which a stream sends a comment", ge=1)
    allowed_origins: Sequence[str] = option(
        (), "browser origins that may call, such as https://chat.example.org", restart=False
    )
    allowed_hosts: Sequence[str] = option(
        (), "values of the Host header taken beside loopback names until both keys are set", restart=False
    )

    @workers.validator
    def _one_kernel(self, attribute: "Attribute[int]", value: int) -> None:
        if value != 1:
            raise ValueError("must be 1: one kernel owns the machine; scale with nodes", attribute)


@frozen(kw_only=True)
class ModelSettings:
    """What one model does differently; null keeps the general setting.

    Beside these keys an entry may hold the keys of a plugin, under the plugin's name.
    """

    backend: str | None = option(None, "the backend that opens it, where several could", min_length=1)
    mode: Literal["batch", "single"] | None = option(None, "single runs one request at a time")
    context_length: int | None = option(None, "tokens of context, at most what the model was made for", ge=1)
    max_concurrent_requests: int | None = option(None, "rows that run in it at once", ge=1, le=1024)
    prefix_cache_enabled: bool | None = option(None, "keep the KV caches of earlier prompts")
    ignore_remote_code: bool | None = option(
        None, "open a model that brings Python code without ever running that code"
    )


@frozen(kw_only=True)
class Models:
    """Where models are, and how they run."""

    directories: Sequence[Path] = option((), "folders with models: Hugging Face folders and GGUF files; ~ is home")
    default_model: str | None = option(None, "the model for requests that ask for `auto`", min_length=1, restart=False)
    auto_load: Sequence[str] = option((), "models to load at start")
    jit_load: bool = option(True, "load a model that is on disk when a request asks for it", restart=False)
    max_concurrent_requests: int | None = option(
        None, "requests that run in one model at once; null is the engine's batch size", ge=1, le=1024
    )
    inference_timeout_sec: int = option(300, "seconds that one request may take", ge=10, le=3600, restart=False)
    warmup_on_load: bool = option(True, "run a short generation before a model counts as ready")
    use_batching: bool = option(True, "advance several requests together; false is mode single for every model")
    scheduler_completion_batch_size: int = option(32, "rows that decode together", ge=1, le=256)
    scheduler_prefill_batch_size: int = option(8, "prompts that are prefilled together", ge=1, le=64)
    prefix_cache_enabled: bool = option(True, "keep the KV caches of earlier prompts, bounded in bytes")
    metal_cache_limit_gb: float | None = option(None, "limit of Metal's buffer cache; null is MLX's own", ge=0.5)
    settings: Mapping[str, Mapping[str, Any]] = option(
        factory=dict, doc="settings of single models, by id; beside these keys also those of a plugin, under its name"
    )


@frozen(kw_only=True)
class Routing:
    """From the name in a request to a model."""

    aliases: Mapping[str, Sequence[str]] = option(
        factory=dict, doc="other names for models: each lists the models to try, in order", restart=False
    )
    default_model: str | None = option(None, "the same key as models.default_model", min_length=1, restart=False)


@frozen(kw_only=True)
class Scheduling:
    """Who may enter an engine next."""

    policy: str = option("fifo", "name of the scheduler: `lmx plugins list` shows which there are", min_length=1)


@frozen(kw_only=True)
class Workers:
    """Supervision of the processes that hold models."""

    step_timeout_sec: float = option(120.0, "seconds that one engine step may take before its worker is ended", ge=1)
    heartbeat_interval_s: float = option(
        1.0, "seconds between two beats of a worker; three missed ones end it", ge=0.05, le=60
    )
    restart_pause_s: float = option(0.5, "seconds before a worker starts again; doubles with each death", ge=0, le=60)
    max_restart_pause_s: float = option(30.0, "longest pause in seconds before a worker starts again", ge=0, le=3600)
    quarantine_after: int = option(3, "deaths within quarantine_window_s after which a model is left alone", ge=1)
    quarantine_window_s: float = option(300.0, "seconds in which deaths count towards quarantine", gt=0)
    stop_grace_s: float = option(5.0, "seconds that a worker gets to end before it is killed", ge=0, le=600)
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


SECTIONS: Mapping[str, type] = {
    "server": Server,
    "models": Models,
    "routing": Routing,
    "scheduling": Scheduling,
    "workers": Workers,
    "logging": Logging,
    "security": Security,
}
