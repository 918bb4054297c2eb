"""The signature of a thinking block, which clients keep with it and send back."""

from hashlib import blake2s
from typing import Any, Protocol


class Hash(Protocol):
    """As hashlib makes them."""

    def update(self, data: Any, /) -> None:
        """Take in more."""

    def hexdigest(self) -> str:
        """Of everything so far."""


def begun() -> Hash:
    """The signature of no thought yet."""
    return blake2s(digest_size=16)


def signature(thought: Hash) -> str:
    """A checksum: it proves nothing, but clients take a block without one for incomplete."""
    return f"lmx-{thought.hexdigest()}"
