"""A model before it is leased."""

from attrs import frozen

from lmx.models.resident import Resident
from lmx_hookspecs import ModelInfo


@frozen
class Outlook:
    """What its backend can do, and how many rows it takes if that is known yet."""

    info: ModelInfo
    capabilities: frozenset[str]
    ready: bool = False
    max_rows: int | None = None
    here: bool = False
    """It is loaded, being loaded, or on its way out."""
    restarting: bool = False
    """It is loaded, and its worker is being replaced."""


def outlook_on(resident: Resident) -> Outlook:
    """That of a model which is here."""
    rows = resident.description.max_rows if resident.description else None
    return Outlook(
        resident.info, resident.capabilities, resident.ready, rows, here=True, restarting=resident.restarting
    )
