"""Plugin `echo`: engines without a model, which answer with what they were told, in time or not at all.

The smallest plugin that does something, and the instrument of the tests. This file holds the hooks, and nothing else:
what they offer is imported when it is asked for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmx_echo.config import EchoConfig, config_for
from lmx_hookspecs import (
    BackendSpec,
    Capability,
    ConfigSpec,
    Context,
    ModelInfo,
    ModelSourceSpec,
    WorkerContext,
    hookimpl,
)

if TYPE_CHECKING:
    from lmx_echo.engine import EchoEngine
    from lmx_echo.models import EchoModels
    from lmx_echo.step_engine import EchoStepEngine

ANY_ENGINE = frozenset(
    {
        Capability.CHAT,
        Capability.COMPLETION,
        Capability.CHOICES,
        Capability.STOP,
        Capability.NUM_CTX,
        Capability.BATCHING,
        # The next token of an echo is certain: however it is drawn, it is the same.
        Capability.TEMPERATURE,
        Capability.TOP_P,
        Capability.TOP_K,
        Capability.MIN_P,
        Capability.SEED,
        Capability.EMBED,
    }
)
TEXT_ENGINE = ANY_ENGINE | {Capability.RERANK}
TOKEN_ENGINE = ANY_ENGINE | {
    Capability.TOKEN_PROMPTS,
    Capability.LOGPROBS,
    Capability.ECHO,
    Capability.CONTEXT_POLICY,
    Capability.TOOLS,
    Capability.REASONING_EFFORT,
}


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """`plugins.echo`: the reply, its pace, and what goes wrong."""
    return [ConfigSpec(cls=EchoConfig)]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """One engine in each of the three ways an engine can run."""
    return [
        BackendSpec(
            name="echo",
            level="text",
            isolation="inline",
            formats=frozenset({"echo"}),
            capabilities=TEXT_ENGINE,
            load=_load_inline,
        ),
        BackendSpec(
            name="echo-process",
            level="text",
            formats=frozenset({"echo-process"}),
            capabilities=TEXT_ENGINE,
            load=_load_text,
        ),
        BackendSpec(
            name="echo-tokens",
            level="tokens",
            formats=frozenset({"echo-tokens"}),
            capabilities=TOKEN_ENGINE,
            load=_load_tokens,
        ),
    ]


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """A model for each engine."""
    return [ModelSourceSpec(name="echo", open=_open_models)]


def _load_inline(ctx: WorkerContext, model: ModelInfo) -> "EchoEngine":
    config_for(ctx, model).refuse_to_take_the_kernel_down()
    return _load_text(ctx, model)


def _load_text(ctx: WorkerContext, model: ModelInfo) -> "EchoEngine":
    from lmx_echo.engine import EchoEngine

    config = config_for(ctx, model)
    config.misbehave_at_load()
    return EchoEngine(config, TEXT_ENGINE)


def _load_tokens(ctx: WorkerContext, model: ModelInfo) -> "EchoStepEngine":
    from lmx_echo.step_engine import EchoStepEngine

    config = config_for(ctx, model)
    config.misbehave_at_load()
    return EchoStepEngine(config, TOKEN_ENGINE)


def _open_models(ctx: Context) -> "EchoModels":
    from lmx_echo.models import EchoModels

    return EchoModels(ctx.config.context_length)
