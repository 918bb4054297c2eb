import io
import zlib
from pathlib import Path

import pytest

pytest.importorskip("docx")
pytest.importorskip("pypdf")

import document_files as files
from lmx_documents.readers import READERS
from lmx_hookspecs.errors import InvalidRequest

BOMB = b"0" * 30_000_000
LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "haha"><!ENTITY b "{}"><!ENTITY c "{}"><!ENTITY d "{}"><!ENTITY e "{}"><!ENTITY f "{}">]>'
).format(*("".join(f"&{name};" * 50) for name in "abcde"))
SECRET = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MAX_CHARS = 10_000


def code_of(folder: Path, name: str, data: bytes | str, max_chars: int = MAX_CHARS) -> str | None:
    spec = next(spec for spec in READERS if Path(name).suffix in spec.suffixes)
    with pytest.raises(InvalidRequest) as caught:
        spec.read(files.written(folder, name, data), name, max_chars)
    assert "4711" not in caught.value.message
    return caught.value.code


def text_of(folder: Path, name: str, data: bytes | str) -> str:
    spec = next(spec for spec in READERS if Path(name).suffix in spec.suffixes)
    return spec.read(files.written(folder, name, data), name, MAX_CHARS).text


def outcome(folder: Path, name: str, data: bytes) -> str:
    """The text, or the code of the error."""
    try:
        return text_of(folder, name, data)
    except InvalidRequest as error:
        return error.code


@pytest.mark.parametrize(
    "name", ["a.txt", "a.md", "a.html", "a.csv", "a.tsv", "a.json", "a.jsonl", "a.ipynb", "a.py", "a.log", "a.xml"]
)
def test_a_file_of_100_mb_is_refused_unread(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with file.open("wb") as sparse:
        sparse.truncate(100 * 2**20)
    spec = next(spec for spec in READERS if file.suffix in spec.suffixes)

    with pytest.raises(InvalidRequest) as caught:
        spec.read(file, name, MAX_CHARS)

    assert caught.value.code == "file_too_large"


@pytest.mark.parametrize(
    ("archive", "name", "entry"),
    [
        (files.docx(), "a.docx", "word/document.xml"),
        (files.docx(), "a.docx", "word/media/image1.png"),
        (files.epub({"a": "x"}), "a.epub", "OPS/text/a.xhtml"),
        (files.epub({"a": "x"}), "a.epub", "META-INF/container.xml"),
    ],
)
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, archive: bytes, name: str, entry: str) -> None:
    bomb = files.with_entry(archive, entry, BOMB)

    assert len(bomb) < 100_000
    assert code_of(tmp_path, name, bomb, 10**7) == "file_too_large"


@pytest.mark.parametrize("name", ["a.docx", "a.epub"])
def test_an_archive_of_many_entries_is_refused(tmp_path: Path, name: str) -> None:
    assert code_of(tmp_path, name, files.zipped({str(number): b"" for number in range(20_001)})) == "unreadable_file"


def test_an_entry_that_is_longer_than_it_says_is_damaged(tmp_path: Path) -> None:
    book = files.epub({"a": "x" * 5_000})
    size = len(files.PAGE.format("x" * 5_000)).to_bytes(4, "little")

    lying = book.replace(size, (10).to_bytes(4, "little"))

    assert lying != book
    assert code_of(tmp_path, "a.epub", lying) == "unreadable_file"


def test_a_book_whose_pages_together_are_too_long_is_refused(tmp_path: Path) -> None:
    pages = {f"p{number}": "word " * 1_000 for number in range(3)}

    assert code_of(tmp_path, "a.epub", files.epub(pages)) == "file_too_large"


@pytest.mark.parametrize("declared", [LAUGHS, SECRET])
def test_entities_are_not_expanded(tmp_path: Path, declared: str) -> None:
    text = "<w:body><w:p><w:r><w:t>x&f;y</w:t></w:r></w:p></w:body>"
    document = f"{declared}<w:document xmlns:w={WORD!r}>{text}</w:document>".encode()
    word = files.with_entry(files.docx(), "word/document.xml", document)
    book = files.with_entry(files.epub({"a": "z"}), "OPS/text/a.xhtml", f"{declared}<p>x&f;y</p>".encode())
    container = files.with_entry(book, "META-INF/container.xml", f"{declared}{files.CONTAINER}".encode())

    assert outcome(tmp_path, "a.docx", word) in {"unreadable_file", "x"}
    assert outcome(tmp_path, "a.epub", book).endswith("x&f;y")
    assert outcome(tmp_path, "a.epub", container).endswith("x&f;y")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path, "a.html", "<div>" * 10_000, 10**6) == "unreadable_file"
    assert code_of(tmp_path, "a.json", '{"a":' * 50_000, 10**6) == "unreadable_file"
    assert code_of(tmp_path, "a.ipynb", '{"cells":' + "[" * 50_000, 10**6) == "unreadable_file"
    deep = files.with_entry(files.docx(), "word/document.xml", b"<a>" * 10_000 + b"</a>" * 10_000)
    assert code_of(tmp_path, "a.docx", deep, 10**6) == "unreadable_file"


@pytest.mark.parametrize("part", ["<!--", "<", "&", "<a x='", "<!", "<?", "<script>", "<![CDATA[", "</", "</p>", "<p>"])
def test_broken_html_takes_no_longer_than_other_html(tmp_path: Path, part: str) -> None:
    assert len(text_of(tmp_path, "a.html", part * 2_000)) <= 2_000
    spec = next(spec for spec in READERS if ".html" in spec.suffixes)

    spec.read(files.written(tmp_path, "a.html", part * 300_000), "a.html", 10**7)


def test_a_page_of_a_pdf_that_unpacks_without_end_is_no_text(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import NameObject, StreamObject

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(files.pdf(["First.", "Second."]))))
    bomb = StreamObject()
    bomb._data = zlib.compress(b" " * 100_000_000, 9)
    bomb[NameObject("/Filter")] = NameObject("/FlateDecode")
    writer.pages[1][NameObject("/Contents")] = writer._add_object(bomb)
    file = io.BytesIO()
    writer.write(file)
    spec = next(spec for spec in READERS if ".pdf" in spec.suffixes)

    found = spec.read(files.written(tmp_path, "a.pdf", file.getvalue()), "a.pdf", MAX_CHARS)

    assert (found.text, found.metadata["unreadable_pages"]) == ("First.", [2])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "x" * 5_000 + "\n" + "1\n" * 100),
        ("a.json", '[{"' + "k" * 200 + '": [' + ",".join('{"a": 1}' for _ in range(100)) + "]}]"),
        ("a.html", "<p>" + "word " * 3_000),
        ("a.html", "<title>" + "word " * 3_000),
        ("a.html", "<pre>" + "word\n" * 3_000),
        ("a.pdf", files.pdf(["word " * 1_000] * 3)),
    ],
)
def test_what_is_made_of_a_file_is_bounded_too(tmp_path: Path, name: str, data: bytes | str) -> None:
    assert code_of(tmp_path, name, data) == "file_too_large"


def test_running_out_of_memory_is_said_to_be_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("lmx_documents.readers.text_files.text_of", exhausted)

    assert code_of(tmp_path, "a.txt", "x") == "file_too_large"
