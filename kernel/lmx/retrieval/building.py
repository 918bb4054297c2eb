"""The retrieval service of a kernel."""

from typing import TYPE_CHECKING

from lmx.log import logger
from lmx.retrieval import hosting
from lmx.retrieval.reading import Reading
from lmx.retrieval.service import RetrievalDesk
from lmx.retrieval.tokenizers import Tokenizers

if TYPE_CHECKING:
    from lmx.kernel import Kernel


def retrieval_of(kernel: "Kernel") -> RetrievalDesk:
    """Nothing of it runs yet."""

    def place() -> hosting.StorePlace:
        return hosting.place_of(kernel.config, kernel.registry, kernel.home)

    return RetrievalDesk(
        config=lambda: kernel.config.section("rag"),
        place=place,
        host=lambda place: hosting.store_part(
            place, kernel.config, kernel.registry, kernel.context(place.offer.plugin)
        ),
        reading=Reading(
            documents=hosting.document_part(kernel.config, kernel.registry),
            short=hosting.document_part(kernel.config, kernel.registry),
            contexts=hosting.document_part(kernel.config, kernel.registry),
            readers=lambda: [offer.spec for offer in kernel.registry.specs("lmx_readers")],
        ),
        embed=kernel.embed,
        rerank=kernel.rerank,
        tokenizers=Tokenizers(kernel.models.catalogue, kernel.routing),
        chunkers=lambda: [offer.spec.name for offer in kernel.registry.specs("lmx_chunkers")],
        ledger=kernel.models.ledger,
        relieve=kernel.models.relieve,
        log=logger("retrieval"),
    )
