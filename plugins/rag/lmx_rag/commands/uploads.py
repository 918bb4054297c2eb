"""Sends one file to a collection, unless it is there already, and says what became of it."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from lmx_hookspecs import LmxError, ServerClient
from lmx_hookspecs.errors import (
    Busy,
    Conflict,
    Forbidden,
    InsufficientStorage,
    Unauthorized,
    Unavailable,
)
from lmx_rag.commands.files import SourceFile
from lmx_rag.origin import FINGERPRINT, SOURCE, WATCHED

DOCUMENTS = "/v1/rag/documents"
SILENT = frozenset({"unsupported_file", "empty_content"})
OF_ALL = frozenset({"collection", "chunking", "chunk_size", "chunk_overlap", "model"})
"""What every file is sent with: where the server refuses one of these, it refuses every file."""
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each further try at a server that is busy."""


@frozen(kw_only=True)
class Outcome:
    """What became of a file."""

    file: SourceFile
    state: Literal["ingested", "unchanged", "skipped", "failed"]
    """Skipped is what a folder holds and nobody can read, or is empty."""
    chunks: int = 0
    reason: str = ""


@frozen(kw_only=True)
class Uploader:
    """Sends files to one collection."""

    server: ServerClient
    fields: Mapping[str, str]
    """Of the form: the collection, and how documents are cut and embedded."""
    metadata: Mapping[str, Any] = field(factory=dict)
    """Of every document."""
    known: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """The metadata of the documents that are there, by their ids."""
    force: bool = False
    """Send and embed also what has not changed."""
    pause: Callable[[float], None] = time.sleep

    def send(self, file: SourceFile) -> Outcome:
        """Ingest one file; raises LmxError where no other file would fare better."""
        if not file.id.isprintable():
            return Outcome(file=file, state="failed", reason="its name cannot be printed; rename it")
        try:
            fingerprint = file.fingerprint({**self.fields, "metadata": dict(self.metadata)})
            if self._is_there(file, fingerprint):
                return Outcome(file=file, state="unchanged")
            return self._sent(file, {**self.metadata, SOURCE: str(file.path), FINGERPRINT: fingerprint})
        except OSError as error:
            return Outcome(file=file, state="failed", reason=error.strerror or str(error))
        except LmxError as error:
            self._raise_if_general(error)
            silent = error.code in SILENT and not file.named
            return Outcome(file=file, state="skipped" if silent else "failed", reason=error.message)

    def _is_there(self, file: SourceFile, fingerprint: str) -> bool:
        """Raises Conflict where the document came from another file."""
        there = self.known.get(file.id, {})
        if WATCHED in there:
            return True  # the server follows it by itself
        source = there.get(SOURCE, str(file.path))
        if source != str(file.path) and not self.force:
            raise Conflict(
                f"the document {file.id} came from {source}; use another collection, or --force to replace it"
            )
        return not self.force and there.get(FINGERPRINT) == fingerprint

    def _sent(self, file: SourceFile, metadata: Mapping[str, Any]) -> Outcome:
        fields = {
            **self.fields,
            "document_ids": json.dumps([file.id]),
            "metadata": json.dumps([metadata]),
            "skip_unchanged": json.dumps(not self.force),
        }
        answer = self._patiently(lambda: self.server.upload(DOCUMENTS, [(file.path.name, file.path)], fields))
        (document,) = answer["documents"]
        if document["unchanged"]:
            return Outcome(file=file, state="unchanged")
        return Outcome(file=file, state="ingested", chunks=document["chunks"])

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        for pause_s in PAUSES_S:
            try:
                return ask()
            except Busy:
                self.pause(pause_s)
        return ask()

    def _raise_if_general(self, error: LmxError) -> None:
        refused_all = error.param in OF_ALL and not isinstance(error, Unavailable)
        if refused_all or isinstance(error, Unauthorized | Forbidden | InsufficientStorage):
            raise error
        if isinstance(error, Unavailable):
            self.server.get("/healthz")  # raises where the server is gone: then it was not the file
