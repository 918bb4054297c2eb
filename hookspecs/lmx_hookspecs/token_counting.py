"""A TokenCounter over the file `tokenizer.json` of a model, read by the library `tokenizers`."""

import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs.documents import TokenCounter
from lmx_hookspecs.errors import EngineFailed

PIECE_CHARS = 65_536
"""Longer texts are encoded piece by piece: an encoding takes a hundred times the memory of its text."""
SEARCHED_CHARS = 4_096
"""So far back from the end of a piece is looked for a place between two words."""
SURROGATES = re.compile("[\ud800-\udfff]")


def counter_of(path: Path) -> TokenCounter:
    """The counter of one `tokenizer.json`; raises EngineFailed where it cannot be read.

    It adds no special tokens, and the truncation and padding that the file asks for are off.
    """
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path))
    except ModuleNotFoundError as error:
        raise EngineFailed(f"{error}: pip install 'opta-lmx[embed]'") from error
    except Exception as error:  # tokenizers raises bare Exception for a file that is missing or damaged
        raise EngineFailed(f"{path} is no tokenizer: {error}; get the model's files again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _FileCounter(tokenizer)


@frozen(eq=False)
class _FileCounter:
    _tokenizer: Any
    """A `tokenizers.Tokenizer`."""

    def count(self, text: str) -> int:
        return sum(len(self._encoded(text[start:end])) for start, end in pieces(text))

    def ends(self, text: str) -> Sequence[int]:
        ends = array("q")
        for start, end in pieces(text):
            placed = [start + token_end for _, token_end in self._encoded(text[start:end]).offsets]
            if placed != sorted(placed):  # characters that were put in another order
                placed = list(accumulate(placed, max))
            ends.extend(placed)
        return ends

    def _encoded(self, piece: str) -> Any:
        readable = piece if piece.isascii() else SURROGATES.sub("\N{REPLACEMENT CHARACTER}", piece)
        return self._tokenizer.encode(readable, add_special_tokens=False)


def pieces(text: str) -> Iterator[tuple[int, int]]:
    """Where a text is cut for encoding: as a whole if it is short, else where a tokenizer would cut as well."""
    start = 0
    while len(text) - start > PIECE_CHARS:
        end = _safe_place(text, start + PIECE_CHARS)
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)


def _safe_place(text: str, most: int) -> int:
    """The last place before one space between two words, else before other white space, else `most`."""
    places = range(most, most - SEARCHED_CHARS, -1)
    between = (place for place in places if text[place].isspace() and not text[place - 1].isspace())
    first = next(between, most)
    singles = (place for place in range(first, most - SEARCHED_CHARS, -1) if _between_words(text, place))
    return next(singles, first)


def _between_words(text: str, place: int) -> bool:
    return text[place] == " " and text[place - 1].isalnum() and text[place + 1 : place + 2].isalnum()
