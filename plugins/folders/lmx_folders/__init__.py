"""Plugin `folders`: the models in `models.directories`."""

from collections.abc import Sequence

from lmx_hookspecs import Context, ModelSource, ModelSourceSpec, hookimpl


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """The source `folders`; what an operator put there wins over the hub's cache and the built-in model."""
    return [ModelSourceSpec(name="folders", open=_open, priority=60)]


def _open(ctx: Context) -> ModelSource:
    from lmx_folders.source import FolderSource

    return FolderSource(ctx)
