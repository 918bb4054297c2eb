"""Where sentences begin, in any script."""

import re
from collections.abc import Iterator

CLOSERS = "\"'”’»›)\\]}」』】〉》）］｝"  # noqa: RUF001  of many scripts, as below
NARROW = ".!?…‽؟۔।॥።፧፨။៕។᙮։"  # noqa: RUF001
"""Ends of sentences that white space follows."""
WIDE = "。！？｡︒"  # noqa: RUF001
"""Ends of sentences that nothing need follow."""
END = re.compile(
    rf"(?<![{NARROW}])[{NARROW}]++[{CLOSERS}]*+\s++|(?<![{WIDE}])[{WIDE}]++[{CLOSERS}]*+\s*+|\n[^\S\n]*+\n\s*+|\u2029\s*+"
)
BLANK_LINE = re.compile(r"\n[^\S\n]*+\n")
ABBREVIATIONS = frozenset(
    {
        "approx",
        "bspw",
        "bzw",
        "ca",
        "cf",
        "d.h",
        "dr",
        "e.g",
        "fig",
        "i.e",
        "jr",
        "mlle",
        "mme",
        "mr",
        "mrs",
        "ms",
        "nr",
        "p.ex",
        "pp",
        "prof",
        "sr",
        "st",
        "u.a",
        "vol",
        "vs",
        "z.b",
    }
)
LONGEST_ABBREVIATION = 8


def sentence_starts(text: str) -> Iterator[int]:
    """Where sentences and paragraphs begin, but for the first; each begins with something other than white space."""
    return (end.end() for end in END.finditer(text) if _ends_sentence(text, end))


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    if text[end.start()] != "." or BLANK_LINE.search(end.group()):
        return True
    return not text[end.end() : end.end() + 1].islower() and not _is_abbreviated(text, end.start())


def _is_abbreviated(text: str, dot: int) -> bool:
    """Whether the dot belongs to an abbreviation, the initial of a name, or the number of a list."""
    before = text[max(0, dot - LONGEST_ABBREVIATION) : dot]
    word = before.split()[-1] if before and not before[-1].isspace() else ""
    if word.isdigit():
        return before.rstrip("0123456789")[-1:] in {"", "\n"}
    return (len(word) == 1 and word.isupper()) or word.lower().lstrip(CLOSERS + "(") in ABBREVIATIONS
