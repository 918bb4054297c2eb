"""Where a document came from: metadata that `lmx rag ingest` and `rag.watch` leave with it, to know it again."""

from collections.abc import Mapping
from typing import Any

SOURCE = "source"
"""Where its file is."""
FINGERPRINT = "fingerprint"
"""What it was made from, and how."""
WATCHED = "watched"
"""The folder that it is kept as."""
DESCRIBED = "described"
"""Of a document that is kept as a folder is: which of its metadata somebody gave it by hand."""
KEPT = (SOURCE, FINGERPRINT, WATCHED)


def kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    """New metadata of a document that stays whose it was: who replaces a topic does not mean to let go of a file."""
    ours = {name: before[name] for name in KEPT if name in before}
    return {**ours, **after, **({DESCRIBED: sorted(after)} if WATCHED in before else {})}


def given(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was given by hand, to a document whose file is read again: no part of it is what a reader found there."""
    names = metadata.get(DESCRIBED)
    if not isinstance(names, list):
        return {}
    return {name: metadata[name] for name in (*names, DESCRIBED) if name in metadata}
