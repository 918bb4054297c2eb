"""Names of models: Ollama writes `name:tag`, and reads a name without a tag as `name:latest`."""

from datetime import UTC, datetime

from lmx_hookspecs import Context
from lmx_hookspecs.errors import ModelNotFound

LATEST = ":latest"


def shown(model_id: str) -> str:
    """How a model's id is listed."""
    return model_id if ":" in model_id else model_id + LATEST


async def real_name(ctx: Context, name: str) -> str:
    """What the server calls the model; only a model that is really called so keeps its `:latest`."""
    if not name.endswith(LATEST):
        return name
    try:
        await ctx.services.models.get(name)
    except ModelNotFound:
        return name.removesuffix(LATEST)
    return name


def timestamp(seconds: float) -> str:
    """Unix time as Ollama writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
