"""Words of one collection, in Tantivy: BM25 over titles and texts."""

import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tantivy
from attrs import define, field
from tantivy import Occur, Query

from lmx_hybrid.analysis import analyzer, prepared, prepared_query, stemmed_languages
from lmx_hybrid.damage import DamagedIndexError
from lmx_hybrid.flat import Ids, stand_in
from lmx_hybrid.state_files import read_state
from lmx_hybrid.word_weights import matched_share, word_weight

FEW = 4096
"""So many allowed chunks are handed to Tantivy; of more than these, the best hits are looked at until enough of them
are allowed."""
MAX_QUERY_TERMS = 256
SEGMENT_PARTS = ("fast", "fieldnorm", "idx", "pos", "store", "term")
FOOTER_MAGIC = (1337).to_bytes(4, "little")


@define(eq=False)
class TextIndex:
    """What has been committed can be found. One thread changes it at a time, others may search meanwhile."""

    directory: Path
    languages: Sequence[str]
    """As `stemmed_languages` gives them."""
    title_boost: int
    heap_bytes: int
    _index: tantivy.Index
    _schema: tantivy.Schema
    _analyzers: Sequence[tantivy.TextAnalyzer]
    _writer: tantivy.IndexWriter | None = field(default=None, init=False)

    @classmethod
    def open(cls, directory: Path, languages: Sequence[str], title_boost: int, heap_bytes: int) -> "TextIndex":
        """Open or make it; raises DamagedIndexError."""
        stemmed = stemmed_languages(languages)
        directory.mkdir(parents=True, exist_ok=True)
        schema = _schema_of(stemmed, title_boost)
        _check_files(directory)
        try:
            index = tantivy.Index(schema, path=str(directory))
            index.searcher()
        except (ValueError, OSError, RuntimeError) as error:
            raise DamagedIndexError(str(error)) from error
        analyzers = [analyzer(language) for language in stemmed]
        for language, one in zip(stemmed, analyzers, strict=True):
            index.register_tokenizer(language, one)
        return cls(directory, stemmed, title_boost, heap_bytes, index, schema, analyzers)

    def __len__(self) -> int:
        return self._index.searcher().num_docs

    @property
    def disk_bytes(self) -> int:
        """Of its files; one that a merge has just removed counts as nothing."""
        return sum(_size(file) for file in self.directory.iterdir())

    def add(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Ids, titles and texts, in place of what these ids had before."""
        writer = self._open_writer()
        for chunk, title, text in rows:
            writer.add_document(self._document(chunk, prepared(title), prepared(text)))

    def remove(self, ids: Sequence[int]) -> None:
        """Those that are not there are ignored."""
        if ids:
            self._open_writer().delete_documents_by_query(Query.term_set_query(self._schema, "id", list(ids)))

    def remove_after(self, id: int) -> None:
        """All that are greater."""
        later = Query.range_query(self._schema, "id", tantivy.FieldType.Unsigned, id, include_lower=False)
        self._open_writer().delete_documents_by_query(later)

    def release(self) -> None:
        """Commit, and let go of the writer's threads and memory until something changes again."""
        if self._writer is not None:
            self._writer.commit()
            self._writer.wait_merging_threads()
            self._writer = None
            self._index.reload()

    def discard(self) -> None:
        """Let go of the writer without what it has not committed: there may be no room left for that."""
        self._writer = None

    def commit(self) -> None:
        """Make changes durable, and let them be found."""
        if self._writer is not None:
            self._writer.commit()
            self._index.reload()

    def search(self, text: str, k: int, allowed: Ids | None = None) -> list[tuple[int, float]]:
        """The best `k` of those that are allowed (ascending ids; None: all), best first."""
        query = self._query(text)
        if query is None or k < 1 or (allowed is not None and not len(allowed)):
            return []
        if allowed is not None and len(allowed) <= FEW:
            return self._found(self._only(query, allowed), k)
        return self._found(query, k) if allowed is None else self._found_among(query, k, allowed)

    def matched_shares(self, text: str, ids: Sequence[int]) -> Mapping[int, float]:
        """Of these chunks, as far as they have a word of the text: see `matched_share`."""
        weights = {word: self._weight(word) for word in _words(text)}
        if not weights or not ids:
            return {}
        weighed = [Query.const_score_query(self._word(word), weight) for word, weight in weights.items()]
        any_word = Query.boolean_query([(Occur.Should, word) for word in weighed])
        found = self._found(self._only(any_word, np.array(ids, np.int64)), len(ids))
        return {chunk: matched_share(matched, sum(weights.values())) for chunk, matched in found}

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            self._writer = self._index.writer(self.heap_bytes, 1)
        return self._writer

    def _document(self, id: int, title: str, text: str) -> tantivy.Document:
        document = tantivy.Document()
        document.add_unsigned("id", id)
        for language in self.languages:
            document.add_text(_field(language, self.title_boost), f"{title} " * self.title_boost + text)
        return document

    def _query(self, text: str) -> Query | None:
        """Each word in any field; a word of several languages counts once, as the best of its forms does."""
        queries = [self._word(word) for word in _words(text)]
        return Query.boolean_query([(Occur.Should, query) for query in queries]) if queries else None

    def _word(self, word: str) -> Query:
        forms = []
        for language, one in zip(self.languages, self._analyzers, strict=True):
            field = _field(language, self.title_boost)
            terms = [Query.term_query(self._schema, field, term, "freq") for term in one.analyze(word)]
            forms.append(Query.boolean_query([(Occur.Should, term) for term in terms]))
        return forms[0] if len(forms) == 1 else Query.disjunction_max_query(forms)

    def _weight(self, word: str) -> float:
        """By the most frequent of its forms."""
        searcher = self._index.searcher()
        having = 0
        for language, one in zip(self.languages, self._analyzers, strict=True):
            field = _field(language, self.title_boost)
            having = max([having, *(searcher.doc_freq(field, term) for term in one.analyze(word))])
        return word_weight(searcher.num_docs, having)

    def _only(self, query: Query, allowed: Ids) -> Query:
        ids = Query.const_score_query(Query.term_set_query(self._schema, "id", allowed.tolist()), 0.0)
        return Query.boolean_query([(Occur.Must, ids), (Occur.Must, query)])

    def _found_among(self, query: Query, k: int, allowed: Ids) -> list[tuple[int, float]]:
        limit = 4 * k
        while True:
            found = self._found(query, limit)
            ids = np.array([chunk for chunk, _ in found], np.int64)
            passes = stand_in(ids, allowed)
            if int(passes.sum()) >= k or len(found) < limit:
                return [one for one, passed in zip(found, passes, strict=True) if passed][:k]
            limit *= 4

    def _found(self, query: Query, k: int) -> list[tuple[int, float]]:
        searcher = self._index.searcher()
        hits = searcher.search(query, k, count=False).hits
        ids: list[Any] = searcher.fast_field_values("id", [address for _, address in hits]) if hits else []
        found = [(int(chunk), float(score)) for chunk, (score, _) in zip(ids, hits, strict=True)]
        return sorted(found, key=lambda one: (-one[1], one[0]))


def _words(text: str) -> Sequence[str]:
    return list(dict.fromkeys(prepared_query(text).split()))[:MAX_QUERY_TERMS]


def remove_files(directory: Path) -> None:
    """Delete an index, as far as it is there."""
    shutil.rmtree(directory, ignore_errors=True)


def _schema_of(languages: Sequence[str], title_boost: int) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder().add_unsigned_field("id", indexed=True, fast=True)
    for language in languages:
        name = _field(language, title_boost)
        builder = builder.add_text_field(name, tokenizer_name=language, index_option="freq")
    return builder.build()


def _field(language: str, title_boost: int) -> str:
    """The field of titles and texts together, in which a word of a title counts as so many of a text (BM25F).

    In a field of their own, where hardly any word is frequent, the `why` and `how` of a title would be rare words that
    outweigh all others. Its name holds the boost: an index made with another one does not fit, and is made again.
    """
    return f"words_{language}_{title_boost}"


def _check_files(directory: Path) -> None:
    """Compare each file with the checksum in its footer; Tantivy itself does not, and gives wrong answers."""
    missing = [name for name in _files_of_segments(directory) if not (directory / name).exists()]
    if missing:
        raise DamagedIndexError(f"{missing[0]} is missing")
    for file in directory.iterdir():
        data = file.read_bytes()
        if file.suffix in (".json", ".lock") or file.name.startswith("."):
            continue
        length = int.from_bytes(data[-8:-4], "little")
        footer, body = data[-8 - length : -8], data[: -8 - length]
        if data[-4:] != FOOTER_MAGIC or b'"crc":%d}' % zlib.crc32(body) not in footer:
            raise DamagedIndexError(f"{file.name} does not have the checksum that it names")


def _files_of_segments(directory: Path) -> list[str]:
    """What the index's own list of segments stands for; Tantivy opens one of them when it is first needed."""
    meta = read_state(directory / "meta.json")
    files: list[str] = []
    for segment in meta.get("segments", ()):
        name = segment["segment_id"].replace("-", "")
        files += [f"{name}.{part}" for part in SEGMENT_PARTS]
        if segment.get("deletes"):
            files.append(f"{name}.{segment['deletes']['opstamp']}.del")
    return files


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
