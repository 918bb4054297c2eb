"""The paths of the admin API that hold a model's id."""

from urllib.parse import quote

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.model_files import check_model_id

MODELS = "/admin/models"
FIRST = frozenset({"download"})
LAST = frozenset({"performance", "pin"})
WHOLE = frozenset({"available", "downloads"})
"""Ids of one part, and first and last parts of longer ones, behind which the API has something else than a model."""


def model_path(model_id: str, *rest: str) -> str:
    """`/admin/models/<id>`, and what follows; raises InvalidRequest for an id that would lead elsewhere."""
    check_model_id(model_id)
    parts = model_id.split("/")
    if model_id in WHOLE or (len(parts) > 1 and (parts[0] in FIRST or parts[-1] in LAST)):
        raise InvalidRequest(f"the admin API cannot be asked for a model {model_id!r}: it means something else there")
    return "/".join([MODELS, *(quote(part, safe="", errors="surrogateescape") for part in parts), *rest])
