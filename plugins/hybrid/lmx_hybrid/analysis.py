"""From texts to the terms that are indexed and searched: one way for both.

Words are split at what is neither letter, digit nor mark, and stemmed for the collection's languages. Scripts that are
written without spaces become overlapping pairs of characters (bigrams, as in Lucene's CJKAnalyzer) besides the single
ones, so that any part of a sentence can be found.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import tantivy

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

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # iteration marks, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # Han
)
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_WORD = re.compile(
    f"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[^\\W_])+(?:[\u0300-\u036f\u0900-\u0dff\u064b-\u065f]+[^\\W_]*)*"
)


def stemmed_languages(languages: Sequence[str]) -> Sequence[str]:
    """Those of a collection that can be stemmed, or `plain` alone, which leaves words as they are."""
    known = sorted({language for language in languages if language in STEMMERS})
    return known or [PLAIN]


def analyzer(language: str) -> tantivy.TextAnalyzer:
    """Tantivy's part of the work, on texts that `prepared` has made."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).filter(tantivy.Filter.lowercase())
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
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
        word = match.group()
        if _UNSPACED_RUN.match(word):
            yield from _grams(word, single=single)
        elif len(word.encode()) <= MAX_TERM_BYTES:
            yield word


def _grams(run: str, *, single: bool) -> Iterator[str]:
    if single or len(run) == 1:
        yield from run
    yield from (run[place : place + 2] for place in range(len(run) - 1))
