"""From texts to the terms that are indexed and searched: one way for both.

Texts are folded, split at what is neither letter, digit nor mark, and stemmed for the collection's languages. Scripts
that are written without spaces, and Hangul, whose words carry their particles, become overlapping pairs of characters
(bigrams, as in Lucene's CJKAnalyzer) besides the single ones, so that any part of a sentence can be found.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import tantivy

from lmx_hybrid.folding import folded, kept_marks

VERSION = 2
"""Of all that happens here; an index of another one is made anew, for it would not find what it holds."""
PLAIN = "plain"
STEMMERS: Mapping[str, str] = {
    "ar": "Arabic",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hu": "Hungarian",
    "it": "Italian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "tr": "Turkish",
}
MAX_TERM_BYTES = 128
"""Longer ones are no words: encoded data, mostly."""

_PAIRED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # iteration marks, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # Han
)
_PAIRED_RUN = re.compile(f"[{_PAIRED}]+")
_ASCII_WORD = re.compile(r"[^\W_]+", re.ASCII)
_MARKS = _PAIRED_RUN.sub("", "".join(kept_marks()))
_WORD = re.compile(f"[{_PAIRED}]+|[^\\W_{_PAIRED}]+(?:[{_MARKS}]+[^\\W_{_PAIRED}]*)*")


def stemmed_languages(languages: Sequence[str]) -> Sequence[str]:
    """Those of a collection that can be stemmed, or `plain` alone, which leaves words as they are."""
    known = sorted({language for language in languages if language in STEMMERS})
    return known or [PLAIN]


def analyzer(language: str) -> tantivy.TextAnalyzer:
    """Tantivy's part of the work, on texts that `prepared` has made."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    if language != PLAIN:
        builder = builder.filter(tantivy.Filter.stemmer(STEMMERS[language]))
    return builder.filter(tantivy.Filter.ascii_fold()).build()


def prepared(text: str) -> str:
    """The words of a text to be indexed, with spaces between them."""
    return " ".join(_words(text, single=True))


def prepared_query(text: str) -> str:
    """The words of a query: of pairs the single characters would only add noise."""
    return " ".join(_words(text, single=False))


def _words(text: str, *, single: bool) -> Iterator[str]:
    same = folded(text)
    if same.isascii():
        yield from (word for word in _ASCII_WORD.findall(same) if len(word) <= MAX_TERM_BYTES)
        return
    for word in _WORD.findall(same):
        if _PAIRED_RUN.match(word):
            yield from _grams(word, single=single)
        elif len(word.encode()) <= MAX_TERM_BYTES:
            yield word


def _grams(run: str, *, single: bool) -> Iterator[str]:
    if single or len(run) == 1:
        yield from run
    yield from (run[place : place + 2] for place in range(len(run) - 1))
