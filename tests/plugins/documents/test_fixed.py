from collections.abc import Sequence
from itertools import pairwise

import pytest
from attrs import define

from document_samples import Characters, Words, counters
from lmx_documents.chunkers.fixed import cut_fixed, cut_whole
from lmx_documents.chunkers.sentences import sentence_starts
from lmx_hookspecs import CutOptions, Span
from lmx_hookspecs.token_counting import counter_of

WORDS = Words()


def chunks(text: str, spans: Sequence[Span]) -> list[str]:
    return [text[span.start : span.end] for span in spans]


def cut(text: str, size: int, overlap: int = 0) -> list[str]:
    return chunks(text, cut_fixed(text, WORDS, CutOptions(size=size, overlap=overlap)))


def sentences(text: str) -> list[str]:
    places = [0, *sentence_starts(text), len(text)]
    return [text[start:end].strip() for start, end in pairwise(places) if text[start:end].strip()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? “Four.” Five… Six", ["One.", "Two!", "Three?", "“Four.”", "Five…", "Six"]),
        (
            "Dr. Smith read 3.14 of J. Doe, e.g. page 2. Then he left.",
            ["Dr. Smith read 3.14 of J. Doe, e.g. page 2.", "Then he left."],
        ),
        ("A title\n\nA text\nof two lines. \n \nEnd", ["A title", "A text\nof two lines.", "End"]),
        ("1. One\n2. Two", ["1. One\n2. Two"]),
        ("一つ。二つ\uff01「三つ\uff1f」四つ", ["一つ。", "二つ\uff01", "「三つ\uff1f」", "四つ"]),
        ("यह एक है। यह दो है।", ["यह एक है।", "यह दो है।"]),
        ("هل هذا؟ نعم\u06d4 لا", ["هل هذا؟", "نعم\u06d4", "لا"]),
        ("ends... small letters go on. Yes", ["ends... small letters go on.", "Yes"]),
    ],
)
def test_sentences_are_told_apart(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_chunks_hold_whole_sentences() -> None:
    assert cut("One two three. Four five. Six seven eight nine. Ten.", 5) == [
        "One two three. Four five. ",
        "Six seven eight nine. Ten.",
    ]


def test_whole_sentences_are_repeated_where_they_fit() -> None:
    assert cut("A b c. D e. F g h. I j.", 5, 3) == ["A b c. D e. ", "D e. F g h. ", "F g h. I j."]


def test_words_are_repeated_where_no_sentence_fits() -> None:
    assert cut("a b c d e f g h i j", 4, 2) == ["a b c d ", "c d e f ", "e f g h ", "g h i j"]


def test_the_overlap_gives_way_to_a_sentence_that_would_be_cut_for_it() -> None:
    assert cut("A b c. D e. F g h i.", 5, 2) == ["A b c. D e. ", "F g h i."]


def test_a_sentence_that_is_too_long_is_cut_between_lines_then_words() -> None:
    assert cut("a b c\nd e f g h", 5) == ["a b c\n", "d e f g h"]
    assert cut("Short one. a b c d e f g h", 4) == ["Short one. a b ", "c d e f ", "g h"]


def test_a_word_that_is_too_long_is_cut_between_tokens_never_within_a_character() -> None:
    options = CutOptions(size=4, overlap=0)

    assert chunks("abcdefghij", cut_fixed("abcdefghij", Characters(), options)) == ["abcd", "efgh", "ij"]
    assert chunks("abce\u0301fgh", cut_fixed("abce\u0301fgh", Characters(), options)) == ["abc", "e\u0301fg", "h"]
    assert chunks("abc\r\ndef", cut_fixed("abc\r\ndef", Characters(), options)) == ["ab", "c\r\n", "def"]


def test_white_space_stays_with_what_it_follows() -> None:
    assert cut("\n\n a b\n\n\n\tc d \n ", 2) == ["\n\n a b\n\n\n\t", "c d \n "]


def test_only_white_space_that_fills_a_chunk_is_one() -> None:
    options = CutOptions(size=8, overlap=0)

    text = "abcdefgh  x"

    assert chunks(text, cut_fixed(text, Characters(), options)) == ["abcdefg", "h  x"]
    assert chunks("a" + " " * 20, cut_fixed("a" + " " * 20, Characters(), options)) == ["a       ", " " * 8, " " * 5]


def test_none_is_one_chunk_unless_that_would_be_too_large() -> None:
    text = "A b. C d. E f."

    assert chunks(text, cut_whole(text, WORDS, CutOptions(size=6, overlap=0))) == [text]
    assert chunks(text, cut_whole(text, WORDS, CutOptions(size=4, overlap=0))) == ["A b. C d. ", "E f."]


@define
class Watched:
    """Counts how much it is asked to count."""

    inner: object
    chars: int = 0

    def count(self, text: str) -> int:
        self.chars += len(text)
        return self.inner.count(text)  # type: ignore[attr-defined, no-any-return]

    def ends(self, text: str) -> Sequence[int]:
        return self.inner.ends(text)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("counter", ["words", "characters", "wordpiece", "byte-level"])
@pytest.mark.parametrize(
    "text",
    [
        "One two. Three four five. ",
        "a",
        "日本",
        " ",
        "a" + " " * 999,
        "\n",
        ".",
        "QUJD+/x9",
        "word ",
        "😀",
        "\u0301",
        "a\u200d",
    ],
    ids=ascii,
)
def test_no_text_is_counted_more_than_a_few_times(counter: str, text: str) -> None:
    watched = Watched(counters()[counter])
    long = text * (100_000 // len(text))

    cut_fixed(long, watched, CutOptions(size=200, overlap=30))

    assert watched.chars < 6 * len(long)


def test_a_text_of_a_megabyte_without_spaces_is_cut() -> None:
    from document_samples import MODELS

    counter = counter_of(MODELS / "lmx-tiny-embed" / "tokenizer.json")
    spans = cut_fixed("x" * 1_000_000, counter, CutOptions(size=64, overlap=8))

    assert max(span.end - span.start for span in spans) <= 64 * 64
