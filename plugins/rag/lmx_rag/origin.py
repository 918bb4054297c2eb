"""Where a document came from: metadata that `lmx rag ingest` and `rag.watch` leave with it, to know it again."""

from collections.abc import Mapping
from typing import Any

SOURCE = "source"
"""Where its file is."""
FINGERPRINT = "fingerprint"
"""What it was made from, and how."""
WATCHED = "watched"
"""The folder that it is kept as."""
KEPT = (SOURCE, FINGERPRINT, WATCHED)


def kept(before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
    """New metadata of a document that stays whose it was: who replaces a topic does not mean to let go of a file."""
    return {**{name: before[name] for name in KEPT if name in before}, **after}
