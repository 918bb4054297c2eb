"""From the `load` frame of a part to what opens it, and the Protocol that it is called by."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmx.workers import recipe
from lmx.workers.part_host import Closable
from lmx_hookspecs.context import Logger
from lmx_hookspecs.retrieval import Retriever
from lmx_hookspecs.stores import StoreSettings

STORE = "store"
DOCUMENTS = "documents"


def opened(load: Mapping[str, Any], log: Logger) -> tuple[Callable[[], Closable], type]:
    """What the frame names."""
    if load["part"] == DOCUMENTS:
        from lmx.workers.documents import DocumentReader, DocumentWork

        return lambda: DocumentReader.of(load), DocumentWork

    spec = recipe.retriever(load["plugin"], load["spec"])
    context = recipe.EngineContext(config=recipe.configuration(load["plugin"], load["config"]), log=log)
    settings = StoreSettings(directory=Path(load["directory"]), durable=load["durable"])
    return lambda: spec.open(context, settings), Retriever
