from collections.abc import Callable, Sequence

import pytest

from document_samples import Characters
from lmx_hookspecs import ChunkerSpec, CutOptions, Span, TokenCounter
from lmx_hookspecs.testing import check_chunker

pytest.importorskip("hypothesis")

Bounds = Callable[[int, int, int], tuple[int, int, int]]
"""From the start and the end of a sound chunk and the length of the text to the start, the end and the fresh start."""


def chunker(bounds: Bounds, nothing: Sequence[Span] = ()) -> ChunkerSpec:
    """Cuts every `size` characters, and spoils each chunk."""

    def cut(text: str, _: TokenCounter, options: CutOptions) -> Sequence[Span]:
        if not text.strip():
            return nothing
        size = options.size
        spoilt = [bounds(start, min(start + size, len(text)), len(text)) for start in range(0, len(text), size)]
        return [Span(start=start, end=end, fresh=fresh) for start, end, fresh in spoilt]

    return ChunkerSpec(name="mine", cut=cut)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        (lambda start, end, _: (start, end - 1, start), "does not go on where"),
        (lambda start, end, _: (start + 1, end, start), "out of order"),
        (lambda start, end, _: (0, end, start), "tokens, of 8 at most"),
        (lambda start, end, _: (start - (start > 0), end, start), "tokens, of"),
        (lambda start, end, length: (start, end - (end == length), start), "the last chunk ends at|out of order"),
    ],
)
def test_an_unsound_chunker_is_found_out(bounds: Bounds, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_chunker(chunker(bounds), ["x" * 20], Characters())


def test_blank_chunks_are_found_out() -> None:
    with pytest.raises(AssertionError, match="nothing new but white space"):
        check_chunker(chunker(lambda start, end, _: (start, end, start)), ["abcdefgh  a"], Characters())


def test_chunks_of_nothing_are_found_out() -> None:
    spec = chunker(lambda start, end, _: (start, end, start), nothing=[Span(start=0, end=1, fresh=0)])

    with pytest.raises(AssertionError, match="chunks of nothing"):
        check_chunker(spec, [" "], Characters())
