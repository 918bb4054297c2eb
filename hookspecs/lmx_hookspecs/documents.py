"""From files to chunks: readers, which make text of files, and chunkers, which say where a text is cut.

Both run in the kernel's document process, not in the kernel: a file may hold anything, and cutting takes time.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from attrs import field, frozen

CHARS_PER_TOKEN = 64
"""No chunk has more characters for each token that it may have: some tokenizers make one token of a word of any length,
and none of white space."""


@frozen(kw_only=True)
class ReadText:
    """What a reader makes of a file."""

    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(factory=dict)
    """Plain data that the file says of itself, such as `author` or `pages`."""
    chunker: str = "fixed"
    """The chunker that suits such a text, for the strategy `auto`."""
    language: str = ""
    """Of source code, as tree-sitter calls it; empty for other texts."""


@frozen(kw_only=True)
class ReaderSpec:
    """A recipe for reading one kind of file.

    `read` raises InvalidRequest (`unreadable_file`) for a file that is not what it claims to be, and `file_too_large`
    where reading it would take more than `max_chars` characters: archives are counted unpacked, as they are read.
    """

    name: str
    suffixes: frozenset[str]
    """In lower case with the dot: `.pdf`."""
    media_types: frozenset[str] = frozenset()
    read: Callable[[Path, str, int], ReadText]
    """The file, the name that its owner gave it, `max_chars`."""
    of_text: Callable[[str, str], ReadText] | None = None
    """What `read` would make of a file that holds this text, under this name: for texts that come without a file. None
    for files that are no texts as they are; a text with such a name is left alone."""


class TokenCounter(Protocol):
    """The embedder's tokenizer, as chunkers need it."""

    def count(self, text: str) -> int:
        """Tokens of a text by itself, without special ones."""

    def ends(self, text: str) -> Sequence[int]:
        """For each token of the text, the character after its last one; never falling."""


@frozen(kw_only=True)
class Span:
    """A chunk by its place: `text[start:end]`, of which `text[start:fresh]` repeats what the chunk before ends with."""

    start: int
    end: int
    fresh: int
    title: str = ""
    metadata: Mapping[str, Any] = field(factory=dict)
    tokens: int = 0
    """Of the chunk by itself, exactly, if that is known; 0 leaves it to be counted."""


@frozen(kw_only=True)
class CutOptions:
    """How large chunks may be, in tokens."""

    size: int
    overlap: int
    language: str = ""
    """As in ReadText."""


@frozen(kw_only=True)
class ChunkerSpec:
    """A way to cut texts.

    `cut` returns spans in order: none is empty, has more than `size` tokens or more than CHARS_PER_TOKEN characters for
    each of these, and their fresh parts, one after the other, are the text, from its first character to its last.
    """

    name: str
    cut: Callable[[str, TokenCounter, CutOptions], Sequence[Span]]
