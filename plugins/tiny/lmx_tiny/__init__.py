"""Plugin `tiny`: small models that ship with LMX: one for smoke tests and help with LMX itself, and one that embeds."""

from collections.abc import Sequence

from lmx_hookspecs import Context, ModelSource, ModelSourceSpec, hookimpl


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """The source `tiny`; an operator's own model of the same id wins."""
    return [ModelSourceSpec(name="tiny", open=_open, priority=40)]


def _open(ctx: Context) -> ModelSource:
    from lmx_tiny.source import MODELS, TinySource

    return TinySource(MODELS, ctx.log)
