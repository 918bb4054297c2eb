"""The processes of retrieval: the store's, and those in which documents are read and tokens counted."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from attrs import frozen

from lmx.config import Config
from lmx.config.rag import STORE_FOLDER
from lmx.log import logger
from lmx.plugins import Offer, Registry, Status
from lmx.structure import unstructure
from lmx.structure.problems import did_you_mean
from lmx.workers.documents import DocumentWork
from lmx.workers.inline_part import InlinePart
from lmx.workers.on_demand import OnDemandPart
from lmx.workers.part import PartHandle, PartKind, ProcessPart
from lmx.workers.part_recipes import DOCUMENTS, STORE
from lmx.workers.session import Assignment
from lmx_hookspecs.errors import ConfigError, Unavailable
from lmx_hookspecs.retrieval import Retriever
from lmx_hookspecs.stores import StoreSettings

UNAVAILABLE = "retrieval_unavailable"
DOCUMENT_MEMORY_BYTES = 6 << 30
"""Address space of a process that reads documents; a file that needs more is refused."""
STORE_KIND = PartKind(
    protocol=Retriever,
    name="store",
    unavailable=UNAVAILABLE,
    harmless=frozenset(
        {"search", "collections", "collection", "documents", "document", "hashes", "describe"},
    ),
)
DOCUMENT_KIND = PartKind(
    protocol=DocumentWork, name="document process", unavailable=UNAVAILABLE, harmless=frozenset({"assemble"})
)


@frozen(kw_only=True)
class StorePlace:
    """The store that the configuration names, and where its data lies."""

    offer: Offer
    directory: Path


def place_of(config: Config, registry: Registry, home: Path | None) -> StorePlace:
    """Raises Unavailable (`retrieval_unavailable`) with what to do where there is none."""
    rag = config.section("rag")
    if not rag.enabled:
        raise Unavailable("retrieval is switched off; set rag.enabled: true and restart", code=UNAVAILABLE)
    offers = {offer.spec.name: offer for offer in registry.specs("lmx_retrievers")}
    if rag.store not in offers:
        raise Unavailable(
            f"no active plugin offers the store {rag.store!r} that rag.store names{did_you_mean(rag.store, offers)}"
            f"{_others(offers)}; "
            "`lmx plugins list` says why, and pip install 'opta-lmx[rag]' brings what the built-in one needs",
            code=UNAVAILABLE,
        )
    directory = rag.persist_path or (home / STORE_FOLDER if home else None)
    if directory is None:
        raise Unavailable("there is no folder to keep documents in; set rag.persist_path", code=UNAVAILABLE)
    return StorePlace(offer=offers[rag.store], directory=directory)


def check_store_name(config: Config, registry: Registry) -> None:
    """Raises ConfigError for a store that no plugin offers, nor one that is idle or off and has its name."""
    rag = config.section("rag")
    offered = [offer.spec.name for offer in registry.specs("lmx_retrievers")]
    known = {*offered, *(record.name for record in registry.records if record.status is not Status.ACTIVE)}
    if rag.enabled and rag.store not in known:
        raise ConfigError(
            f"{config.origins()['rag.store']}: rag.store: no plugin offers a store {rag.store!r}"
            f"{did_you_mean(rag.store, offered)}{_others(offered)}; `lmx plugins list` says what there is"
        )


def store_part(place: StorePlace, config: Config, registry: Registry, context: Any) -> PartHandle:
    """The store, not yet opened; `context` is that of its plugin."""
    plugin, spec, durable = place.offer.plugin, place.offer.spec, config.section("rag").auto_persist
    log = logger(f"worker.{plugin}")
    if spec.isolation == "inline":
        settings = StoreSettings(directory=place.directory, durable=durable)
        return InlinePart(STORE_KIND, lambda: spec.open(context, settings), log)
    assignment = Assignment(
        plugin=plugin,
        load={
            "part": STORE,
            "plugin": plugin,
            "spec": spec.name,
            "config": unstructure(config.plugin(plugin)) or {},
            "directory": place.directory,
            "durable": durable,
        },
        settings=config.section("workers"),
        environment=spec.environment,
        interpreter=registry.interpreter(plugin),
        subject="the store",
    )
    return ProcessPart(STORE_KIND, assignment, log, monotonic)


def document_part(config: Config, registry: Registry) -> OnDemandPart:
    """A process that reads documents, or counts tokens, not yet started."""
    load: Mapping[str, Any] = {
        "part": DOCUMENTS,
        "plugin": DOCUMENTS,
        "readers": _plugins(registry, "lmx_readers"),
        "chunkers": _plugins(registry, "lmx_chunkers"),
        "memory_bytes": DOCUMENT_MEMORY_BYTES,
    }
    assignment = Assignment(
        plugin=DOCUMENTS, load=load, settings=config.section("workers"), subject="the document process"
    )
    return OnDemandPart(DOCUMENT_KIND, assignment, logger("worker.documents"))


def _plugins(registry: Registry, hook: str) -> Sequence[str]:
    return list(dict.fromkeys(offer.plugin for offer in registry.specs(hook)))


def _others(offers: Collection[str]) -> str:
    return f" (there are: {', '.join(sorted(offers))})" if offers else ""
