"""One spelling for what is written in several ways: capitals, compatibility forms, accents and points.

Indexed texts and queries are both folded here, and nowhere else: with two ways of folding, such as one that knows of
the final sigma and one that does not, there are words that do not even find themselves.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator

_OPTIONAL_MARKS = (
    (0x0300, 0x036F),  # of Latin, Greek and Cyrillic, as far as they are no part of a letter
    (0x0483, 0x0489),
    (0x0591, 0x05C7),  # points of Hebrew
    (0x0610, 0x061A),  # vowel signs of Arabic
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x0711, 0x0711),  # points of Syriac
    (0x0730, 0x074A),
    (0x08CA, 0x08FF),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),  # variants of one character
    (0xFE20, 0xFE2F),
)
"""Where marks can be left out in writing. In the scripts of India and South-East Asia they are vowels, in kana they
make another letter, and so they stay."""
_ACCENTED_LETTERS = (
    (0x0370, 0x03FF),
    (0x1F00, 0x1FFF),  # Greek
    (0x0622, 0x0626),
    (0x06C0, 0x06D3),  # Arabic
)
"""Letters that lose their marks here. Those of Latin lose them after the stemmer, which looks at them."""
_INVISIBLE = "\u00ad\u0640\u200d\u2060\ufeff"
"""Soft hyphen, the bar that stretches Arabic words, joiners."""
_CYRILLIC = {"\u0451": "\u0435", "\u0450": "\u0435", "\u045d": "\u0438"}
"""Io is mostly written as ie; short i is a letter of its own, on which the stemmer depends."""


def folded(text: str) -> str:
    """The same for all spellings of a text; what is folded stays as it is."""
    if text.isascii():
        return text.lower()
    return _bare(_bare(_VARIANTS.sub("", text)).casefold())


def kept_marks() -> Iterator[str]:
    """The marks that are parts of words; beyond the first plane a set of characters is searched one by one."""
    return (character for character in map(chr, range(0x10000)) if _is_mark(character) and character not in _TABLE)


def _bare(text: str) -> str:
    return _FOLDED_CHARACTER.sub(lambda found: _TABLE[found.group()], unicodedata.normalize("NFKC", text))


def _table() -> dict[str, str]:
    marks = {character: "" for character in _characters(_OPTIONAL_MARKS) if _is_mark(character)}
    letters = {character: _without_marks(character) for character in _characters(_ACCENTED_LETTERS)}
    changed = {character: letter for character, letter in letters.items() if character != letter}
    return {**marks, **changed, **dict.fromkeys(_INVISIBLE, ""), **_CYRILLIC}


def _without_marks(character: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFD", character) if not _is_mark(one))


def _characters(ranges: Iterable[tuple[int, int]]) -> Iterator[str]:
    return (chr(code) for first, last in ranges for code in range(first, last + 1))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


_TABLE = _table()
_VARIANTS = re.compile("[\U000e0100-\U000e01ef]+")
_FOLDED_CHARACTER = re.compile(f"[{''.join(_TABLE)}]")
