"""Plugin `hub`: the models that other tools left in the Hugging Face cache."""

from collections.abc import Sequence

from lmx_hookspecs import Context, ModelSource, ModelSourceSpec, hookimpl


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """The source `hub`."""
    return [ModelSourceSpec(name="hub", open=_open, priority=50)]


def _open(ctx: Context) -> ModelSource:
    import os

    from lmx_hub.source import HubSource, cache_directory

    return HubSource(ctx, cache_directory(os.environ))
