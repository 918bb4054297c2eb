"""Where texts are cut: functions from a text, a token counter and options to spans."""

from collections.abc import Sequence

from lmx_hookspecs import ChunkerSpec, CutOptions, Span, TokenCounter


def _fixed(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    from lmx_documents.chunkers.fixed import cut_fixed

    return cut_fixed(text, counter, options)


def _markdown(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    from lmx_documents.chunkers.markdown import cut_markdown

    return cut_markdown(text, counter, options)


def _code(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    from lmx_documents.chunkers.code import cut_code

    return cut_code(text, counter, options)


def _whole(text: str, counter: TokenCounter, options: CutOptions) -> Sequence[Span]:
    from lmx_documents.chunkers.fixed import cut_whole

    return cut_whole(text, counter, options)


CHUNKERS = (
    ChunkerSpec(name="fixed", cut=_fixed),
    ChunkerSpec(name="markdown_headers", cut=_markdown),
    ChunkerSpec(name="code", cut=_code),
    ChunkerSpec(name="none", cut=_whole),
)
