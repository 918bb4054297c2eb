"""What the echo says, how fast, and how it fails: `plugins.echo`, or `echo` in the settings of one model."""

import os
import sys
import threading
from typing import Literal

from attrs import evolve, frozen

from lmx_hookspecs import ModelInfo, WorkerContext, option
from lmx_hookspecs.errors import ConfigError, EngineFailed


@frozen(kw_only=True)
class EchoConfig:
    """A script for the engine; the counts are pieces of one choice, 0 being before its first."""

    reply: str | None = option(None, "The answer to everything; null repeats the last user message, or the prompt.")
    chat_template: str = option("", "What `echo-tokens` shows as its chat template: from it the dialect is found.")
    delay_ms: float = option(0.0, "Milliseconds before the first piece of an answer.", ge=0)
    tokens_per_second: float | None = option(None, "The pace of each choice; null is as fast as it goes.", gt=0)
    context_length: int = option(8192, "Tokens of prompt and answer together.", ge=1)
    fail_load: Literal["error", "crash", "hang"] | None = option(None, "How every load goes wrong.")
    fail_after: int | None = option(None, "Give a request up after so many pieces.", ge=0)
    crash_after: int | None = option(None, "Take the worker process down after so many pieces.", ge=0)
    hang_after: int | None = option(None, "Never return after so many pieces.", ge=0)

    @property
    def interval_s(self) -> float:
        """Seconds between two tokens of a choice."""
        return 1 / self.tokens_per_second if self.tokens_per_second else 0.0

    def misbehave_at_load(self) -> None:
        """What `fail_load` says."""
        if self.fail_load == "error":
            raise EngineFailed("the echo was told to fail; remove `fail_load` from its configuration")
        if self.fail_load == "crash":
            crash()
        if self.fail_load == "hang":
            threading.Event().wait()

    def refuse_to_take_the_kernel_down(self) -> None:
        """Raises ConfigError for what only a process of its own survives."""
        if self.crash_after is not None or self.fail_load in {"crash", "hang"}:
            raise ConfigError("an inline echo would take the kernel down with it; use the backend 'echo-process'")


def config_for(ctx: WorkerContext, model: ModelInfo) -> EchoConfig:
    """The plugin's configuration, with what the model's own settings say under `echo`."""
    try:
        config: EchoConfig = evolve(ctx.config, **model.settings.get("echo", {}))
    except TypeError as error:
        raise ConfigError(f"the settings of model '{model.id}' do not fit plugin 'echo': {error}") from error
    return config


def crash() -> None:
    """End the process the way a broken native library does: at once, with a last word on stderr."""
    sys.stderr.write("the echo was told to crash\n")
    sys.stderr.flush()
    os.abort()
