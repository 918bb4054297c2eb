"""Plugin `documents`: readers, which make text of files, and chunkers, which cut it; both import libraries on use."""

from collections.abc import Sequence

from lmx_hookspecs import ChunkerSpec, ReaderSpec, Requires, hookimpl

MODULES = ("charset_normalizer", "docx", "lxml", "pypdf", "tree_sitter_language_pack")


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """What reads PDF, DOCX, HTML and unknown encodings, and parses source code."""
    return [Requires(modules=MODULES, extra="rag")]


@hookimpl
def lmx_chunkers() -> Sequence[ChunkerSpec]:
    """`fixed`, `markdown_headers`, `code` and `none`."""
    from lmx_documents.chunkers import CHUNKERS

    return CHUNKERS


@hookimpl
def lmx_readers() -> Sequence[ReaderSpec]:
    """Text, Markdown, HTML, PDF, DOCX, EPUB, tables, JSON, notebooks and source code."""
    from lmx_documents.readers import READERS

    return READERS
