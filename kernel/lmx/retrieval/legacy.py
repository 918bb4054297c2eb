"""Takes in the documents of the earlier system, whose store was one JSON file: `{collection: [{id, text, …}]}`.

`lmx config import` lays the file into `to-import` in the store's folder; the server takes it in when it starts. Its
vectors are kept where the model of new collections makes the same ones, which one of them shows; else they are made.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx.retrieval.embedding import Embed
from lmx_hookspecs.context import Logger
from lmx_hookspecs.embedding import EmbeddingRequest, Embeddings
from lmx_hookspecs.errors import LmxError
from lmx_hookspecs.ingestion import Chunking, IngestReport, IngestRequest, SourceDocument

DONE = ".imported"
ALIKE = 0.999
"""Cosine similarity of two vectors that one model has made of one text, on different machines."""


@frozen(kw_only=True)
class Entry:
    """A chunk of the earlier store."""

    id: str
    text: str
    metadata: Mapping[str, Any]
    vector: Sequence[float]


@frozen(kw_only=True)
class Adopting:
    """Takes in what lies in one folder."""

    folder: Path
    embed: Embed
    ingest: Callable[[IngestRequest, Embed], Awaitable[IngestReport]]
    model: str
    """Of new collections."""
    most: int
    """Documents of one ingest."""
    log: Logger

    async def run(self) -> None:
        """Each file once: one that could not be taken in is tried again at the next start."""
        for file in sorted(self.folder.glob("*.json")):
            try:
                chunks = await self._take(file)
                file.rename(file.with_name(file.name + DONE))
            except LmxError as error:
                self.log.error("earlier_store_not_imported", file=str(file), reason=error.detail or error.message)
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:  # what its JSON may hold
                self.log.error("earlier_store_not_imported", file=str(file), exc_info=error)
            else:
                self.log.info("earlier_store_imported", file=str(file), chunks=chunks)

    async def _take(self, file: Path) -> int:
        collections = await asyncio.to_thread(entries_of, file)
        for name, entries in collections.items():
            kept = await self._kept(entries)
            for start in range(0, len(entries), self.most):
                request = IngestRequest(
                    collection=name,
                    documents=[_document(entry) for entry in entries[start : start + self.most]],
                    chunking=Chunking(strategy="none") if kept else Chunking(strategy="fixed"),
                    surface="import",
                    priority="low",
                    model=self.model,
                )
                await self.ingest(request, kept or self.embed)
        return sum(map(len, collections.values()))

    async def _kept(self, entries: Sequence[Entry]) -> Embed | None:
        """Answers with the vectors that are there, as long as they are those of our model."""
        lengths = {len(entry.vector) for entry in entries}
        if len(lengths) != 1 or 0 in lengths:
            return None
        probe = await self.embed(EmbeddingRequest(model=self.model, inputs=[entries[0].text], surface="import"))
        if likeness(probe.vectors[0], entries[0].vector) < ALIKE:
            return None
        vectors = {entry.text: entry.vector for entry in entries}

        async def embed(request: EmbeddingRequest) -> Embeddings:
            made = [vectors[text] for text in request.inputs if isinstance(text, str)]
            return Embeddings(vectors=made, prompt_tokens=0, model=probe.model, served_by=probe.served_by)

        return embed


def entries_of(file: Path) -> Mapping[str, Sequence[Entry]]:
    """What is in it to be found, by collection; raises ValueError, KeyError and the like for what is no such file."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    collections = {
        name: list({entry["id"]: entry for entry in entries if entry["text"].strip()}.values())
        for name, entries in stored.items()
    }
    return {name: [_entry(one) for one in entries] for name, entries in collections.items() if entries}


def likeness(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine similarity of two vectors; 0 for those of different lengths."""
    if len(one) != len(other):
        return 0.0
    lengths = math.hypot(*one) * math.hypot(*other)
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def _entry(written: Mapping[str, Any]) -> Entry:
    metadata = dict(written.get("metadata") or {})
    if "created_at" in written:
        metadata.setdefault("created_at", written["created_at"])
    return Entry(
        id=str(written["id"]),
        text=written["text"],
        metadata=metadata,
        vector=[float(number) for number in written.get("embedding") or ()],
    )


def _document(entry: Entry) -> SourceDocument:
    return SourceDocument(id=entry.id, text=entry.text, metadata=entry.metadata)
