"""Word documents: headings as Markdown headers, lists and tables as lines."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from docx import Document
from docx.document import Document as WordDocument
from docx.opc.constants import RELATIONSHIP_TYPE as RT
from docx.oxml.ns import qn

from lmx_documents.readers.archives import Archive, opened
from lmx_documents.readers.hypertext import LOOKS_LIKE_MARKDOWN
from lmx_documents.readers.reading import Budget
from lmx_hookspecs import ReadText

HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
MARKUP = 40
"""Bytes of XML that a character may take; Word writes some hundred about each run of text."""
XML_BYTES = 8 * 2**20
"""Styles, themes and fonts, whatever the text."""
MOST_XML_BYTES = 128 * 2**20
"""A tree takes many times the memory of its text."""
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
MOST_STYLES_UP = 20
TITLE = 0
BREAKS: Mapping[str, str] = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
TEXT = qn("w:t")
WRAPPERS = (qn("w:sdt"), qn("w:sdtContent"), qn("w:customXml"))


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The document between the headers and the footers of its pages, with what its properties say."""
    with opened(path, name, "DOCX file", max_chars, MARKUP) as archive:
        _check(archive)
    document = Document(str(path))
    body = document.element.body
    lines = _Lines(_levels(document, body), Budget(name, max_chars))
    parts = [*_of_pages(document, RT.HEADER), body, *_of_pages(document, RT.FOOTER)]
    text = "\n\n".join(paragraph for part in parts for paragraph in lines.of(part)).strip()
    facts = _facts(document)
    return ReadText(text=text, title=facts.get("title", ""), metadata=facts, chunker="markdown_headers")


def _check(archive: Archive) -> None:
    """Count the XML, all of which python-docx turns into trees."""
    archive.budget.max_chars = min(archive.budget.max_chars + XML_BYTES, MOST_XML_BYTES)
    for entry in archive.zip.infolist():
        if entry.filename.endswith((".xml", ".rels")):
            archive.budget.take(entry.file_size)


@frozen
class _Lines:
    """Makes lines of what the body of a document holds, and counts them."""

    levels: Mapping[str, int]
    """Of headings, by the id of their style."""
    budget: Budget

    def of(self, body: Any) -> Iterator[str]:
        """Paragraphs and tables in their order, also those in content controls."""
        for fallback in [*body.iter(FALLBACK)]:
            fallback.getparent().remove(fallback)  # says again what stands beside it
        for element in body.iterchildren():
            if element.tag == qn("w:p"):
                text = self._paragraph(element)
            elif element.tag == qn("w:tbl"):
                text = "\n".join(map(_row, _within(element, qn("w:tr"))))
            elif element.tag == qn("w:sdt"):
                text = "\n\n".join(
                    part for content in element.iterchildren(qn("w:sdtContent")) for part in self.of(content)
                )
            else:
                continue
            self.budget.take(len(text) + 2)
            if text:
                yield text

    def _paragraph(self, element: Any) -> str:
        text = _text(element).strip()
        if not text:
            return ""
        style = element.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
        level = self.levels.get(style.get(qn("w:val"), ""), 0) if style is not None else 0
        if level:
            return f"{'#' * min(level, 6)} {' '.join(text.split())}"
        if element.find(f"{qn('w:pPr')}/{qn('w:numPr')}") is not None:
            return f"- {text}"
        return f"\\{text}" if LOOKS_LIKE_MARKDOWN.match(text) else text


def _of_pages(document: WordDocument, kind: str) -> Iterator[Any]:
    """The headers or footers that say something, each once: sections repeat them, and some are but a number."""
    said: set[str] = set()
    for relation in document.part.rels.values():
        if relation.reltype == kind:
            element = relation.target_part.element
            text = " ".join(_text(element).split())
            if any(map(str.isalpha, text)) and text not in said:
                said.add(text)
                yield element


def _row(row: Any) -> str:
    """Its cells; what a table within one of them says is the text of that."""
    return " | ".join(" ".join(_text(cell).split()) for cell in _within(row, qn("w:tc")))


def _within(element: Any, tag: str) -> Iterator[Any]:
    """The rows of a table or the cells of a row, also those in content controls, and none of a table inside."""
    for child in element.iterchildren(tag, *WRAPPERS):
        if child.tag == tag:
            yield child
        else:
            yield from _within(child, tag)


def _text(element: Any) -> str:
    parts = element.iter(TEXT, *BREAKS, qn("w:p"))
    return "".join(part.text or "" if part.tag == TEXT else BREAKS.get(part.tag, " ") for part in parts).strip()


def _levels(document: WordDocument, body: Any) -> Mapping[str, int]:
    """The levels of headings by the ids of their styles; those of a document with a title stand below it."""
    found = {style.style_id: _level(style) for style in document.styles}
    used = {style.get(qn("w:val")) for style in body.iter(qn("w:pStyle"))}
    below = 1 if any(found.get(style_id) == TITLE for style_id in used) else 0
    return {style_id: level + below for style_id, level in found.items() if level is not None}


def _level(style: Any) -> int | None:
    """That of a style, or of the one that it is based on."""
    for _ in range(MOST_STYLES_UP):
        name = (getattr(style, "name", None) or "").lower()
        if name == "title":
            return TITLE
        if heading := HEADING.fullmatch(name):
            return int(heading[1])
        style = getattr(style, "base_style", None)
    return None


def _facts(document: WordDocument) -> dict[str, str]:
    properties = document.core_properties
    said = {name: getattr(properties, name) for name in ("title", "author", "subject", "keywords", "language")}
    return {name: str(value).strip()[:1000] for name, value in said.items() if value and str(value).strip()}
