"""What each kind of file is read by. A file that none of them claims is read as text, if it is text."""

from collections.abc import Sequence

from lmx_documents.readers.languages import LANGUAGES
from lmx_documents.readers.reading import reader
from lmx_hookspecs import ReaderSpec

CODE_MEDIA_TYPES = frozenset(
    {
        "application/javascript",
        "application/toml",
        "application/x-sh",
        "application/xml",
        "application/yaml",
        "text/css",
        "text/javascript",
        "text/x-c",
        "text/x-java-source",
        "text/x-python",
        "text/xml",
    }
)
TEXT_SUFFIXES = frozenset(
    {".txt", ".text", ".log", ".rst", ".adoc", ".asciidoc", ".org", ".tex", ".bib", ".srt", ".vtt", ".eml", ".diff"}
    | {".patch", ".conf", ".cfg", ".env", ".properties", ".ini", ".nfo", ".me", ".lst", ".po"}
)

READERS: Sequence[ReaderSpec] = (
    reader("text", "text file", TEXT_SUFFIXES, {"text/plain"}, texts=True),
    reader(
        "markdown",
        "Markdown file",
        {".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"},
        {"text/markdown"},
        texts=True,
    ),
    reader("html", "HTML file", {".html", ".htm", ".xhtml"}, {"text/html", "application/xhtml+xml"}),
    reader("pdf", "PDF file", {".pdf"}, {"application/pdf"}),
    reader(
        "docx",
        "DOCX file",
        {".docx"},
        {"application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    ),
    reader("epub", "EPUB file", {".epub"}, {"application/epub+zip"}),
    reader("csv", "CSV file", {".csv"}, {"text/csv"}),
    reader("tsv", "TSV file", {".tsv", ".tab"}, {"text/tab-separated-values"}),
    reader("json", "JSON file", {".json", ".geojson", ".webmanifest"}, {"application/json"}),
    reader("jsonl", "JSON lines file", {".jsonl", ".ndjson"}, {"application/jsonl", "application/x-ndjson"}),
    reader("notebook", "notebook", {".ipynb"}, {"application/x-ipynb+json"}),
    reader("code", "source file", frozenset(LANGUAGES), CODE_MEDIA_TYPES, texts=True),
)
