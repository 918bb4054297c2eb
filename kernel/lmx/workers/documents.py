"""The part that reads files and cuts texts, in a process of its own: files hold anything, and cutting takes time."""

import asyncio
import resource
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field, frozen

from lmx.retrieval.assembly import Assembled, Candidate, assembled
from lmx.workers import recipe
from lmx_hookspecs.documents import ChunkerSpec, CutOptions, ReaderSpec, ReadText, Span, TokenCounter
from lmx_hookspecs.errors import InvalidRequest, LmxError, Unavailable
from lmx_hookspecs.ingestion import SourceDocument
from lmx_hookspecs.retrieval import Chunk

AUTO, WHOLE, FIXED = "auto", "none", "fixed"
PLAIN = "text/plain"
KEPT_TOKENIZERS = 4


@frozen(kw_only=True)
class Cutting:
    """How a document is to be read and cut."""

    strategy: str
    """`auto`, `none`, or the name of a chunker."""
    size: int
    overlap: int
    tokenizer: Path
    max_file_bytes: int
    max_chars: int


@frozen(kw_only=True)
class Prepared:
    """A document as it is embedded: its chunks have no vectors yet."""

    title: str
    metadata: Mapping[str, Any]
    """What the file says of itself; what its owner says is not in it."""
    chunks: Sequence[Chunk]


class DocumentWork(Protocol):
    """What the process does."""

    async def prepare(self, source: SourceDocument, cutting: Cutting) -> Prepared:
        """Read and cut; raises InvalidRequest (`empty_content`, `unreadable_file`, `unsupported_file` …)."""

    async def assemble(self, candidates: Sequence[Candidate], max_tokens: int, tokenizer: Path) -> Assembled:
        """Make one text within its budget."""

    async def close(self) -> None:
        """Nothing is to be done."""


@define(eq=False)
class DocumentReader:
    """The DocumentWork of these recipes; each call runs in a thread, so that the process goes on to beat."""

    readers: Sequence[ReaderSpec]
    chunkers: Mapping[str, ChunkerSpec]
    _counter: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._counter = lru_cache(KEPT_TOKENIZERS)(_counter)

    @classmethod
    def of(cls, load: Mapping[str, Any]) -> "DocumentReader":
        """What the `load` frame names, within the memory that it allows."""
        _limit_memory(load["memory_bytes"])
        readers = [spec for plugin in load["readers"] for spec in recipe.offers(plugin, "lmx_readers")]
        chunkers = [spec for plugin in load["chunkers"] for spec in recipe.offers(plugin, "lmx_chunkers")]
        return cls(readers, {spec.name: spec for spec in chunkers})

    async def prepare(self, source: SourceDocument, cutting: Cutting) -> Prepared:
        """Read and cut."""
        return await asyncio.to_thread(self._prepared, source, cutting)

    async def assemble(self, candidates: Sequence[Candidate], max_tokens: int, tokenizer: Path) -> Assembled:
        """Make one text within its budget."""
        return await asyncio.to_thread(lambda: assembled(candidates, max_tokens, self._counter(tokenizer).count))

    async def close(self) -> None:
        """Nothing is to be done."""

    def _prepared(self, source: SourceDocument, cutting: Cutting) -> Prepared:
        name = _name_of(source)
        read = self._read(source, name, cutting)
        if len(read.text) > cutting.max_chars:
            told = f"{name} has {len(read.text)} characters, and rag.max_document_chars allows {cutting.max_chars}"
            raise InvalidRequest(told, code="file_too_large")
        counter = self._counter(cutting.tokenizer)
        chunks = _chunks(read.text, self._cut(read, counter, cutting), counter)
        if not chunks:
            told = f"{name} holds no text; a scan has to be recognised first, and an empty document is not stored"
            raise InvalidRequest(told, code="empty_content")
        return Prepared(title=source.title or read.title, metadata=read.metadata, chunks=chunks)

    def _read(self, source: SourceDocument, name: str, cutting: Cutting) -> ReadText:
        reader = self._reader(source, name)
        if source.path is None:
            text = source.text or ""
            return reader.of_text(text, name) if reader and reader.of_text else ReadText(text=text)
        if reader is None:
            return self._read_unknown(source.path, name, cutting)
        return self._read_by(reader, source.path, name, cutting)

    def _read_unknown(self, path: Path, name: str, cutting: Cutting) -> ReadText:
        """What no reader claims is text, if it is text."""
        plain = next((spec for spec in self.readers if PLAIN in spec.media_types), None)
        try:
            if plain:
                return self._read_by(plain, path, name, cutting)
        except InvalidRequest as error:
            if error.code != "unreadable_file":
                raise
        known = ", ".join(sorted({suffix for spec in self.readers for suffix in spec.suffixes}))
        raise InvalidRequest(f"{name} is no file that can be read here; known: {known}", code="unsupported_file")

    def _read_by(self, reader: ReaderSpec, path: Path, name: str, cutting: Cutting) -> ReadText:
        try:
            size_bytes = path.stat().st_size
            if size_bytes > cutting.max_file_bytes:
                told = f"{name} has {size_bytes} bytes, and rag.max_file_bytes allows {cutting.max_file_bytes}"
                raise InvalidRequest(told, code="file_too_large")
            return reader.read(path, name, cutting.max_chars)
        except LmxError:
            raise
        except Exception as error:  # the boundary around a plugin's reader: files hold anything
            traceback.print_exc()
            told = f"{name} cannot be read as {reader.name}: {type(error).__name__}: {error}"
            raise InvalidRequest(told, code="unreadable_file") from error

    def _reader(self, source: SourceDocument, name: str) -> ReaderSpec | None:
        suffix = Path(name).suffix.lower()
        by_suffix = [spec for spec in self.readers if suffix in spec.suffixes]
        found = by_suffix or [spec for spec in self.readers if source.media_type in spec.media_types]
        return found[0] if found else None

    def _cut(self, read: ReadText, counter: TokenCounter, cutting: Cutting) -> Sequence[Span]:
        name = read.chunker if cutting.strategy == AUTO else cutting.strategy
        if name == WHOLE and name not in self.chunkers:
            return [Span(start=0, end=len(read.text), fresh=0)]
        if name not in self.chunkers:
            raise Unavailable(f"no active plugin offers the chunker {name!r}", code="retrieval_unavailable")
        options = CutOptions(size=cutting.size, overlap=cutting.overlap, language=read.language)
        return self.chunkers[name].cut(read.text, counter, options)


def _chunks(text: str, spans: Sequence[Span], counter: TokenCounter) -> Sequence[Chunk]:
    """Without those in which there is nothing to find."""
    cut = [(span, text[span.start : span.end]) for span in spans]
    counted = [(span, part, span.tokens or counter.count(part)) for span, part in cut if part.strip()]
    return [
        Chunk(
            index=index,
            text=part,
            start=span.start,
            end=span.end,
            tokens=tokens,
            title=span.title,
            metadata=span.metadata,
        )
        for index, (span, part, tokens) in enumerate(one for one in counted if one[2])
    ]


def _name_of(source: SourceDocument) -> str:
    return source.name or (source.path.name if source.path else "") or source.id or "the document"


def _counter(tokenizer: Path) -> TokenCounter:
    from lmx_hookspecs.token_counting import counter_of

    return counter_of(tokenizer)


def _limit_memory(size_bytes: int) -> None:
    """A zip bomb meets MemoryError here, not the machine's end; macOS does not heed it."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
