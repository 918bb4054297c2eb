"""Engines as the rest of the kernel sees them, and the worker processes behind them.

    handle = engine_handle(spec, plugin=..., plugin_config=..., model=..., settings=..., log=...)
    description = await handle.start()                      # or the LmxError that the load ended in
    async with aclosing(handle.generate(request)) as pieces:
        async for piece in pieces: ...                      # the last piece carries `usage`
    await handle.stop(grace_s=10)

`handle.py` is the interface. Its two implementations are `InlineEngine`, on the kernel's loop, and `ProcessEngine`,
which supervises a worker. A worker is `main.py`; it speaks `frames.py` over a socket pair, and runs a `TokenHost` or a
`TextHost` around the engine that a plugin brought.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lmx.workers.deaths import Deaths
from lmx.workers.handle import (
    Deadly,
    EngineHandle,
    EngineState,
    OnChange,
    Pieces,
    TextPlugins,
    WorkerSettings,
    ignore_change,
)
from lmx_hookspecs.context import Context, Logger
from lmx_hookspecs.engines import BackendSpec
from lmx_hookspecs.models import ModelInfo

__all__ = [
    "Deadly",
    "Deaths",
    "EngineHandle",
    "EngineState",
    "OnChange",
    "Pieces",
    "TextPlugins",
    "WorkerSettings",
    "engine_handle",
]


def engine_handle(
    spec: BackendSpec,
    *,
    plugin: str,
    plugin_config: Mapping[str, Any],
    model: ModelInfo,
    settings: WorkerSettings,
    log: Logger,
    clock: Callable[[], float] = time.monotonic,
    on_change: OnChange = ignore_change,
    context: Context | None = None,
    interpreter: Path | None = None,
    text_plugins: TextPlugins = MappingProxyType({}),
) -> EngineHandle:
    """An engine for this model, not yet started: in the kernel or in a worker, as the backend's `isolation` says.

    `context` is the plugin's own, for engines in the kernel; without it they get what those in workers get.
    `interpreter` is that of the plugin's own environment, for workers.
    `text_plugins` are those that offer a token-level engine dialects and constraints.
    """
    if spec.isolation == "inline":
        from lmx.workers.inline import InlineEngine

        return InlineEngine(spec, plugin, plugin_config, model, log, on_change, context)

    from lmx.workers.engine import ProcessEngine

    return ProcessEngine(spec, plugin, plugin_config, model, settings, log, clock, on_change, interpreter, text_plugins)
