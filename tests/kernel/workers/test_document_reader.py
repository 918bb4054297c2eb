from pathlib import Path

import pytest
from attrs import evolve

from document_samples import Words
from lmx.workers.documents import Cutting, DocumentReader
from lmx_hookspecs import ChunkerSpec, ReaderSpec, ReadText, Span
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.ingestion import SourceDocument


def read(path: Path, name: str, _: int) -> ReadText:
    if b"\0" in path.read_bytes():
        raise InvalidRequest(f"{name} is binary", code="unreadable_file")
    return ReadText(text=path.read_text("utf-8"))


TEXT = ReaderSpec(name="text", suffixes=frozenset({".txt"}), media_types=frozenset({"text/plain"}), read=read)
HALVES = ChunkerSpec(
    name="none", cut=lambda text, _, __: [Span(start=0, end=2, fresh=0), Span(start=2, end=len(text), fresh=2)]
)
CUTTING = Cutting(strategy="none", size=64, overlap=0, tokenizer=Path("any"), max_file_bytes=1000, max_chars=1000)


def reader(*readers: ReaderSpec, chunkers: tuple[ChunkerSpec, ...] = ()) -> DocumentReader:
    made = DocumentReader(readers, {spec.name: spec for spec in chunkers})
    made._counter = lambda _: Words()
    return made


def source(folder: Path, name: str, data: bytes) -> SourceDocument:
    (folder / "upload").write_bytes(data)
    return SourceDocument(path=folder / "upload", name=name)


async def test_a_file_that_no_reader_claims_is_read_as_text(tmp_path: Path) -> None:
    prepared = await reader(TEXT).prepare(source(tmp_path, "LICENSE", b"all yours"), CUTTING)

    assert [chunk.text for chunk in prepared.chunks] == ["all yours"]


@pytest.mark.parametrize("readers", [(), (TEXT,), (evolve(TEXT, media_types=frozenset()),)])
async def test_a_file_that_no_reader_claims_and_is_no_text_is_unsupported(
    tmp_path: Path, readers: tuple[ReaderSpec, ...]
) -> None:
    with pytest.raises(InvalidRequest, match=r"x\.bin is no file that can be read here") as caught:
        await reader(*readers).prepare(source(tmp_path, "x.bin", b"\0"), CUTTING)

    assert caught.value.code == "unsupported_file"


async def test_a_file_that_is_too_long_is_said_to_be_so_whoever_claims_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await reader(TEXT).prepare(source(tmp_path, "LICENSE", b"x" * 1001), CUTTING)

    assert caught.value.code == "file_too_large"


@pytest.mark.parametrize(
    ("named", "title", "chunks"),
    [
        (SourceDocument(text="a b", name="x.txt"), "of x.txt", ["a ", "b"]),
        (SourceDocument(text="a b", id="x.txt", title="mine"), "mine", ["a ", "b"]),
        (SourceDocument(text="a b", media_type="text/plain"), "of the document", ["a ", "b"]),
        (SourceDocument(text="a b", name="x.pdf"), "", ["a b"]),
        (SourceDocument(text="a b"), "", ["a b"]),
    ],
)
async def test_a_text_is_cut_by_the_reader_of_its_name(named: SourceDocument, title: str, chunks: list[str]) -> None:
    whole = ChunkerSpec(name="fixed", cut=lambda text, _, __: [Span(start=0, end=len(text), fresh=0)])
    texts = evolve(TEXT, of_text=lambda text, name: ReadText(text=text, title=f"of {name}", chunker="none"))
    pdf = evolve(TEXT, name="pdf", suffixes=frozenset({".pdf"}), media_types=frozenset())

    prepared = await reader(texts, pdf, chunkers=(HALVES, whole)).prepare(named, evolve(CUTTING, strategy="auto"))

    assert (prepared.title, [chunk.text for chunk in prepared.chunks]) == (title, chunks)


async def test_the_chunker_none_cuts_what_one_chunk_cannot_hold(tmp_path: Path) -> None:
    prepared = await reader(TEXT, chunkers=(HALVES,)).prepare(source(tmp_path, "a.txt", b"a b c"), CUTTING)

    assert [chunk.text for chunk in prepared.chunks] == ["a ", "b c"]
