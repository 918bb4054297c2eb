"""The draft model that another one decodes speculatively with: `draft_model`, an id, found and checked."""

from lmx.models.adapters import Adapter
from lmx.models.catalogue import Catalogue
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import InvalidRequest, ModelNotFound

SETTING = "draft_model"


async def draft_for(info: ModelInfo, catalogue: Catalogue, param: str) -> ModelInfo | None:
    """The draft model that the settings of `info` name, if they do.

    Raises ModelNotFound where it is not here, InvalidRequest where it cannot draft for this model.
    """
    wanted = info.settings.get(SETTING)
    if wanted is None:
        return None
    try:
        draft = await catalogue.find(wanted)
    except ModelNotFound as error:
        raise ModelNotFound(f"the {SETTING} of {info.id!r}: {error.message}", param=param) from None
    problem = _problem(info, draft, catalogue.adapter(draft.id))
    if problem is not None:
        raise InvalidRequest(f"{draft.id!r} cannot draft for {info.id!r}: {problem}", param=param)
    return draft


def _problem(info: ModelInfo, draft: ModelInfo, adapter: Adapter | None) -> str | None:
    if draft.path is None:
        return "its files are not here; name a model on disk"
    if draft.format != info.format:
        return f"it is {draft.format} and the other {info.format}; name one of the same format"
    if adapter is not None:
        return f"it has an adapter, and drafts are made without; name {adapter.base!r}"
    if draft.path == info.path:
        return "they are the same model; name a smaller one"
    return None
