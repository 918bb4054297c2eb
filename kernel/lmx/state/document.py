"""What is kept of a run, as one JSON document."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from lmx.structure import StructureError, structure, unstructure
from lmx_hookspecs import LoadOptions

VERSION = 1


class BadState(Exception):
    """The file holds no state that this version reads."""


@frozen(kw_only=True)
class LoadedModel:
    """A model that was loaded, and how."""

    id: str
    keep_alive_s: float | None = None
    pinned: bool | None = None
    performance: Mapping[str, Any] = field(factory=dict)
    context_length: int | None = None

    def options(self) -> LoadOptions:
        """With which it is loaded again."""
        return LoadOptions(
            keep_alive_s=self.keep_alive_s,
            pinned=self.pinned,
            performance=self.performance,
            context_length=self.context_length,
        )


@frozen(kw_only=True)
class Document:
    """One run of the server. Times are Unix times in seconds."""

    version: int = VERSION
    clean: bool = True
    """Whether the run has ended, and as it should; False from its start on."""
    pid: int = 0
    url: str | None = None
    """Where the server of this run is reached."""
    saved_at: float = 0.0
    unclean_starts: Sequence[float] = ()
    """The latest starts that followed a run without a clean stop."""
    safe_mode: bool = False
    loaded_models: Sequence[LoadedModel] = ()
    quarantined: Mapping[str, str] = field(factory=dict)
    """Model id to reason."""
    downloads: Sequence[Mapping[str, Any]] = ()
    """Those that ran."""
    active_stack: str | None = None


def encode(document: Document) -> bytes:
    """The document as indented JSON."""
    return json.dumps(unstructure(document), indent=2).encode() + b"\n"


def decode(raw: bytes) -> Document:
    """The document that was encoded; raises BadState."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadState(f"is not JSON: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if version != VERSION:
        raise BadState(f"has version {version!r}, and this LMX reads version {VERSION}")
    try:
        return structure(data, Document, allow_unknown=True)
    except StructureError as error:
        raise BadState(str(error)) from None
