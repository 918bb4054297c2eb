"""A chunker must lose nothing, keep to its sizes, and leave no chunk empty.

Its properties are tried with Hypothesis, which a plugin's own tests bring along: `pip install hypothesis`.
"""

from collections.abc import Sequence
from typing import Any

from lmx_hookspecs.documents import CHARS_PER_TOKEN, ChunkerSpec, CutOptions, Span, TokenCounter
from lmx_hookspecs.testing.expectation import expect

WORDS = (
    "Hello. ",
    " ",
    "\n",
    "\r\n",
    "\n\n",
    "# A\n",
    "```\n",
    "~~~\n",
    "x" * 80,
    "日本語。",
    "👩‍👩‍👧‍👦",
    "é",
    "\t",
    "def f():\n",
    "{",
    "}",
)
EXAMPLES = 60
SIZES = ((8, 0), (8, 3), (32, 8), (200, 50))


def check_chunker(spec: ChunkerSpec, samples: Sequence[str], counter: TokenCounter, language: str = "") -> None:
    """Cut the samples, then what Hypothesis makes of their parts, in several sizes."""
    from hypothesis import given, settings, strategies

    expect(bool(samples), f"chunker {spec.name}: no samples")
    slices = [sample[at : at + 40] for sample in samples for at in range(0, len(sample), 40)]
    parts = strategies.lists(strategies.sampled_from([*WORDS, *slices]), max_size=40)

    def check(mixture: list[str], sizes: tuple[int, int]) -> None:
        size, overlap = sizes
        check_cut(spec, "".join(mixture), counter, CutOptions(size=size, overlap=overlap, language=language))

    for sample in samples:
        for sizes in SIZES:
            check([sample], sizes)
    decorated: Any = given(parts, strategies.sampled_from(SIZES))
    bounded: Any = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    bounded(decorated(check))()


def check_cut(spec: ChunkerSpec, text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    """Cut one text, and return the spans once they keep the contract."""
    spans = spec.cut(text, counter, options)
    if not text.strip():
        expect(not spans, f"{text!r} gave {len(spans)} chunks of nothing")
        return spans
    _check_cover(text, spans)
    for span in spans:
        _check_span(text, span, counter, options)
    return spans


def _check_cover(text: str, spans: Sequence[Span]) -> None:
    """The fresh parts are the text, and what is repeated is the end of the chunk before."""
    before = Span(start=0, end=0, fresh=0)
    for span in spans:
        expect(span.fresh == before.end, f"{span} does not go on where {before} ends")
        expect(before.start <= span.start <= span.fresh < span.end, f"{span} after {before} is out of order")
        before = span
    expect(before.end == len(text), f"the last chunk ends at {before.end} of {len(text)} characters")


def _check_span(text: str, span: Span, counter: TokenCounter, options: CutOptions) -> None:
    chunk, repeated = text[span.start : span.end], text[span.start : span.fresh]
    tokens = counter.count(chunk)
    expect(tokens <= options.size or len(chunk) == 1, f"{chunk!r} has {tokens} tokens, of {options.size} at most")
    expect(span.tokens in (0, tokens), f"{chunk!r} has {tokens} tokens, and {span} says {span.tokens}")
    most = options.size * CHARS_PER_TOKEN
    expect(len(chunk) <= most, f"{chunk[:100]!r}… has {len(chunk)} characters, of {most} at most")
    again = counter.count(repeated)
    expect(again <= options.overlap or not repeated, f"{chunk!r} repeats {again} tokens, of {options.overlap} at most")
    if not text[span.fresh : span.end].strip():
        blank = _blank_around(text, span)
        fills = 2 * counter.count(blank) > options.size or 2 * len(blank) > most
        expect(fills, f"{span} has nothing new but white space, which would fit beside a word")


def _blank_around(text: str, span: Span) -> str:
    before, after = text[: span.fresh], text[span.end :]
    start = len(before.rstrip())
    return text[start : len(text) - len(after.lstrip())]
