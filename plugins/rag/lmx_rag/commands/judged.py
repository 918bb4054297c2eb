"""Reads what an evaluation needs: queries, relevance judgements in TREC form, and documents."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest


@frozen(kw_only=True)
class CorpusDocument:
    """A line of a corpus."""

    id: str
    title: str
    text: str


def read_queries(file: Path) -> Mapping[str, str]:
    """Lines `id<TAB>text`; raises InvalidRequest with the place."""
    queries: dict[str, str] = {}
    for number, line in _lines(file):
        query_id, tab, text = line.partition("\t")
        if not tab or not query_id.strip() or not text.strip():
            raise _wrong(file, number, "a query is its id, a tab and its text")
        if query_id.strip() in queries:
            raise _wrong(file, number, f"the query {query_id.strip()} is there already")
        queries[query_id.strip()] = text.strip()
    return queries


def read_judgements(file: Path) -> Mapping[str, Mapping[str, int]]:
    """Lines `query 0 document grade`, whose second column says nothing; raises InvalidRequest with the place."""
    judgements: dict[str, dict[str, int]] = {}
    for number, line in _lines(file):
        try:
            query_id, _, document_id, grade = line.split()
            judgements.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError:
            raise _wrong(file, number, "a judgement is four columns: query, 0, document, grade") from None
    return judgements


def read_corpus(file: Path) -> Iterator[CorpusDocument]:
    """JSON lines with `id`, `text` and perhaps `title`; raises InvalidRequest with the place."""
    for number, line in _lines(file):
        document = _object(line)
        if not isinstance(document.get("id"), str) or not isinstance(document.get("text"), str):
            raise _wrong(file, number, 'a document is {"id": "…", "title": "…", "text": "…"}')
        yield CorpusDocument(id=document["id"], title=str(document.get("title") or ""), text=document["text"])


def _object(line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error


def _wrong(file: Path, number: int, what: str) -> InvalidRequest:
    return InvalidRequest(f"{file}:{number}: {what}")
