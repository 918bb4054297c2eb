"""What the kernel's retrieval service is asked to store: documents as they come, and what became of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from lmx_hookspecs.generation import Priority


@frozen(kw_only=True)
class SourceDocument:
    """A document as it comes: a text, or a file that a reader makes text of. One of `text` and `path` is given."""

    id: str = ""
    """Replaces the document of that id; empty makes a new one."""
    text: str | None = None
    path: Path | None = None
    """A file on this machine, which stays where it is."""
    name: str = ""
    """The name that its owner gave the file; by its suffix a reader is found, else by `media_type`."""
    media_type: str = ""
    title: str = ""
    """Empty takes what the reader finds."""
    metadata: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Chunking:
    """How documents are cut; None is what the section `rag` says."""

    strategy: str | None = None
    """`auto`, which leaves it to the reader, `none`, or the name of a ChunkerSpec."""
    size: int | None = None
    """Tokens of a chunk at most."""
    overlap: int | None = None
    """Tokens of a chunk that repeat the end of the one before; less than `size`."""


@frozen(kw_only=True)
class IngestRequest:
    """Documents for one collection. The fields from `request_id` on are those of a GenerationRequest."""

    collection: str
    documents: Sequence[SourceDocument]
    """Never empty."""
    chunking: Chunking = Chunking()
    model: str | None = None
    """The embedding model; None is the collection's, and for a new one what the section `rag` says."""
    skip_unchanged: bool = False
    """Leave a document alone whose id is there already, made from the same content in the same way."""
    cut_only: bool = False
    """Read and cut, and store nothing: to see what would come of it."""
    owner: str | None = None
    """Whose the collection is where this makes it; None is everybody's."""

    request_id: str = ""
    surface: str = "rag"
    stream: bool = False
    priority: Priority = "normal"
    key: str | None = None
    client: str | None = None
    timeout_s: float | None = None
    lenient: bool = False


@frozen(kw_only=True)
class IngestedDocument:
    """What became of one document, in the order of the request."""

    id: str
    title: str
    chunks: int
    tokens: int
    unchanged: bool = False
    """It was there already, and nothing was done."""


@frozen(kw_only=True)
class IngestReport:
    """What an ingest has stored, all of it durably."""

    collection: str
    documents: Sequence[IngestedDocument]
    embedding_model: str
    """The model that made the vectors, by the id that served it."""
    dimensions: int
    warnings: Sequence[str] = ()
