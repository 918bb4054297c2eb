"""Texts in pieces that llama.cpp can take apart.

Most of its patterns for byte-pair encoding run in `std::regex`, which calls itself for every character of a match: a
run of some 20,000 letters, spaces or dashes overflows the stack and ends the process.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

LONGEST_RUN = 6_000
"""Characters; a multiple of three, since digits are taken by threes."""
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_RUN = re.compile(rf"[{_SPACE}]+|\d+|[^{_SPACE}\d]+")
"""No pattern of llama.cpp's matches more than one of these, beside a character or two."""


def pieces(text: str, marks: Sequence[str]) -> Sequence[str]:
    """The text, cut where a run of one kind of characters is too long, and never within one of the marks."""
    if len(text) <= LONGEST_RUN:
        return [text]
    cuts = [0, *_cuts(text, marks), len(text)]
    return [text[begin:end] for begin, end in pairwise(cuts)]


def _cuts(text: str, marks: Sequence[str]) -> Iterator[int]:
    for run in _RUN.finditer(text):
        for place in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN):
            yield min((_before(mark, text, place) for mark in marks), default=place)


def _before(mark: str, text: str, place: int) -> int:
    """Where the mark begins, if the place lies within one."""
    found = text.find(mark, max(0, place - len(mark) + 1), place + len(mark) - 1)
    return place if found < 0 else found
