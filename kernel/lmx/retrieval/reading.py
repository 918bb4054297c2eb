"""The document processes: short plain texts are cut in one of their own, and contexts made in another.

So neither waits for a large document, nor for the other.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from lmx.workers.documents import Cutting, Prepared
from lmx.workers.on_demand import OnDemandPart
from lmx.workers.session import WorkerLost
from lmx_hookspecs.documents import ReaderSpec
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ingestion import SourceDocument

SHORT_BYTES = 65_536
"""What is cut in some hundredths of a second."""
TIMED_BYTES = 10_000_000
"""What the time limit is for; a longer document has as much more of it."""


@frozen(kw_only=True)
class Reading:
    """What is done in which of them."""

    documents: OnDemandPart
    """Whatever takes long, or may hold anything."""
    short: OnDemandPart
    contexts: OnDemandPart
    readers: Callable[[], Sequence[ReaderSpec]]

    @property
    def parts(self) -> Sequence[OnDemandPart]:
        """All of them."""
        return self.documents, self.short, self.contexts

    async def prepare(self, source: SourceDocument, cutting: Cutting, timeout_s: float) -> Prepared:
        """Read and cut; a process that takes too long over a document, or too much memory, ends with it."""
        name, size_bytes = source.name or source.id, await asyncio.to_thread(_size_of, source)
        part = self.short if size_bytes <= SHORT_BYTES and self._is_plain(source) else self.documents
        limit_s = timeout_s * max(1.0, size_bytes / TIMED_BYTES)
        try:
            prepared: Prepared = await part.call("prepare", {"source": source, "cutting": cutting}, limit_s)
        except TimeoutError as error:
            told = f"{name} could not be read and cut within {limit_s:g} s, which rag.read_timeout_sec allows"
            raise InvalidRequest(told, code="unreadable_file") from error
        except WorkerLost as error:
            told = f"{name} cannot be read: its reader died of it"
            raise InvalidRequest(told, code="unreadable_file", detail=error.message) from error
        return prepared

    def _is_plain(self, source: SourceDocument) -> bool:
        """Whether it comes as a text, or is a file that its reader takes for a text as it is."""
        suffix = Path(source.name).suffix.lower()
        claiming = [reader for reader in self.readers() if suffix in reader.suffixes]
        return source.path is None or any(reader.of_text for reader in claiming)


def _size_of(source: SourceDocument) -> int:
    """In bytes; about, for a text. A file that has gone has none: its reader says so."""
    if source.path is None:
        return len(source.text or "")
    return source.path.stat().st_size if source.path.exists() else 0
