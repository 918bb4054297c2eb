"""EPUB books: the pages of the spine, in its order (EPUB 3.3, 5)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote

from lxml import etree

from lmx_documents.readers.archives import Archive, opened
from lmx_documents.readers.html_files import MARKUP, page
from lmx_documents.readers.reading import Budget, unreadable
from lmx_hookspecs import ReadText

CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
FACTS = {"title": "title", "creator": "author", "language": "language", "publisher": "publisher", "date": "date"}
PAGES = frozenset({"application/xhtml+xml", "text/html"})


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The text of a book, with what it says of itself."""
    with opened(path, name, "EPUB file", max_chars, MARKUP) as archive:
        place = _package_place(archive)
        package = _xml(archive, place)
        budget = Budget(name, max_chars)
        texts = [page(archive.read(entry), name, budget).text for entry in _spine(archive, package, dirname(place))]
    facts = _facts(package)
    text = "\n\n".join(text for text in texts if text)
    return ReadText(text=text, title=facts.get("title", ""), metadata=facts, chunker="markdown_headers")


def _package_place(archive: Archive) -> str:
    found = (root.get("full-path") for root in _xml(archive, CONTAINER).iter("{*}rootfile"))
    place: str | None = next((place for place in found if place), None)
    if place is None:
        raise unreadable(archive.name, "is damaged: its container names no package")
    return place


def _spine(archive: Archive, package: Any, folder: str) -> Iterator[str]:
    """The entries of the pages, but for the table of contents."""
    items = {item.get("id"): item for item in package.iter("{*}item")}
    locked = _locked(archive)
    for reference in package.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in PAGES or "nav" in (item.get("properties") or "").split():
            continue
        entry = normpath(join(folder, unquote(item.get("href") or "")))
        if entry in locked:
            raise unreadable(archive.name, "is protected against copying: its pages cannot be read")
        yield entry


def _locked(archive: Archive) -> set[str]:
    if ENCRYPTION not in archive:
        return set()
    references = _xml(archive, ENCRYPTION).iter("{*}CipherReference")
    return {normpath(unquote(reference.get("URI") or "")) for reference in references}


def _facts(package: Any) -> Mapping[str, str]:
    facts: dict[str, str] = {}
    for element in package.iter("{http://purl.org/dc/elements/1.1/}*"):
        name = FACTS.get(etree.QName(element).localname)
        if name and element.text and element.text.strip():
            facts.setdefault(name, " ".join(element.text.split())[:1000])
    return facts


def _xml(archive: Archive, entry: str) -> Any:
    """A part as a tree; entities are left alone, nothing is fetched."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(archive.read(entry), parser)
    except etree.XMLSyntaxError as error:
        raise unreadable(archive.name, f"is damaged: its part {entry[:100]} is no XML") from error
