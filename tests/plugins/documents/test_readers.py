import json
import re
from pathlib import Path

import pytest

pytest.importorskip("docx")
pytest.importorskip("pypdf")

import document_files as files
from lmx_documents.readers import READERS
from lmx_hookspecs import ReaderSpec, ReadText
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing import check_reader

BY_NAME = {spec.name: spec for spec in READERS}
SAMPLES = {
    "text": ("notes.txt", b"Just text.\n"),
    "markdown": ("readme.md", b"---\ntitle: Front\n---\n# One\n\nText.\n"),
    "html": ("page.html", b"<title>T</title><h1>One</h1><p>Text</p>"),
    "pdf": ("paper.pdf", files.pdf(["Page one.", "Page two."])),
    "docx": ("letter.docx", files.docx()),
    "epub": ("book.epub", files.epub({"a": "<h1>One</h1><p>Text</p>"})),
    "csv": ("table.csv", b"name,age\nAda,36\n"),
    "tsv": ("table.tsv", b"name\tage\nAda\t36\n"),
    "json": ("data.json", b'[{"a": 1}]'),
    "jsonl": ("data.jsonl", b'{"a": 1}\n{"a": 2}\n'),
    "notebook": ("work.ipynb", json.dumps({"cells": [{"cell_type": "markdown", "source": "# One"}]}).encode()),
    "code": ("main.py", b"def f(): pass\n"),
}


def read(folder: Path, name: str, data: bytes | str, max_chars: int = 100_000) -> ReadText:
    return spec_of(name).read(files.written(folder, name, data), name, max_chars)


def spec_of(name: str) -> ReaderSpec:
    suffix = Path(name).suffix.lower()
    return next((spec for spec in READERS if suffix in spec.suffixes), BY_NAME["text"])


def refused(folder: Path, name: str, data: bytes | str, max_chars: int = 100_000) -> str:
    """The code of the error; its message knows the file by its owner's name only."""
    with pytest.raises(InvalidRequest) as caught:
        read(folder, name, data, max_chars)
    assert caught.value.message.startswith(f"{name} ")
    assert "4711" not in caught.value.message
    return f"{caught.value.code}: {caught.value.message}"


def test_there_is_a_sample_of_every_reader() -> None:
    assert SAMPLES.keys() == BY_NAME.keys()


@pytest.mark.parametrize("reader", BY_NAME)
def test_each_reader_keeps_the_contract(reader: str) -> None:
    name, data = SAMPLES[reader]

    check_reader(BY_NAME[reader], data, name)


def test_no_suffix_or_media_type_is_claimed_twice() -> None:
    suffixes = [suffix for spec in READERS for suffix in spec.suffixes]
    media_types = [media_type for spec in READERS for media_type in spec.media_types]

    assert len(suffixes) == len(set(suffixes))
    assert len(media_types) == len(set(media_types))
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in suffixes)


@pytest.mark.parametrize("reader", BY_NAME)
def test_an_empty_file_gives_an_empty_text(tmp_path: Path, reader: str) -> None:
    assert read(tmp_path, SAMPLES[reader][0], b"").text == ""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("schön\r\nund\rgut".encode(), "schön\nund\ngut"),
        ("\ufeffschön".encode(), "schön"),
        ("schön 日本".encode("utf-16"), "schön 日本"),
        (b"\xfe\xff" + "schön".encode("utf-16-be"), "schön"),
        ("schön 日本".encode("utf-32"), "schön 日本"),
        ("Ein Überblick über die schönen Künste, für Anfänger.".encode("cp1252"), "Ein Überblick über die schönen Kün"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.".encode("cp1251"), "Съешь же ещё этих мягких"),
        (
            "日本語の文章をシフトJISで保存したものです。よろしくお願いします。".encode("shift_jis"),
            "日本語の文章をシフトJIS",
        ),
    ],
)
def test_a_text_is_read_in_whatever_encoding_it_is(tmp_path: Path, data: bytes, text: str) -> None:
    assert read(tmp_path, "notes.txt", data).text.startswith(text)


@pytest.mark.parametrize(
    "data",
    [
        files.pdf(["x"]),
        files.docx(),
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        bytes(1000),
        b"\xff\xfe\x00\xd8x",
        b"\x00\x01" * 99,
    ],
)
def test_a_binary_file_is_no_text(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, "notes.txt", data).startswith("unreadable_file")


def test_nul_and_halves_of_surrogate_pairs_are_replaced(tmp_path: Path) -> None:
    assert read(tmp_path, "a.json", '["a\\ud800b\\u0000c"]').text == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    ("name", "language"),
    [("a.py", "python"), ("A.RS", "rust"), ("x.tsx", "tsx"), ("Makefile", "make"), ("src/Dockerfile", "dockerfile")],
)
def test_the_name_tells_the_language(tmp_path: Path, name: str, language: str) -> None:
    found = read(tmp_path, name, b"x = 1\n")

    assert (found.chunker, found.language) == ("code", language)


def test_there_is_a_grammar_for_every_language() -> None:
    get_language = pytest.importorskip("tree_sitter_language_pack").get_language
    from lmx_documents.readers.languages import LANGUAGES, NAMES

    for language in {*LANGUAGES.values(), *NAMES.values()}:
        assert get_language(language)


def test_markdown_takes_its_title_from_the_front_matter_or_the_first_header(tmp_path: Path) -> None:
    fronted = read(tmp_path, "a.md", '---\ntitle: "The title"\nauthor: Ada\ntags:\n  - x\n---\n\n# One\n')
    headed = read(tmp_path, "b.md", "# One `two`\n\nText\n")

    assert (fronted.title, fronted.metadata) == ("The title", {"title": "The title", "author": "Ada"})
    assert (headed.title, headed.text, headed.chunker) == ("One two", "# One `two`\n\nText\n", "markdown_headers")


@pytest.mark.parametrize("reader", ["text", "markdown", "code"])
def test_a_text_is_taken_as_a_file_of_its_name_would_be(tmp_path: Path, reader: str) -> None:
    name, data = SAMPLES[reader]
    of_text = BY_NAME[reader].of_text
    assert of_text is not None

    assert of_text(data.decode(), name) == read(tmp_path, name, data)


def test_html_becomes_markdown_without_what_is_no_text(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "page.html",
        "<html lang=en><head><title>A &amp; B</title><meta name=author content=Ada><style>p {}</style></head><body>"
        "<nav>menu <nav>inner</nav></nav><h1>One <b>two</b></h1><p>w<i>or</i>d &eacute;<br># none<script>x<y</script>"
        "<ul><li>first<li>second</ul><table><tr><th>a<th>b<tr><td>1<td>2</table>"
        "<pre><code>if x:\n    ```\n</code></pre>"
        "<![if gte mso 9]>more<![endif]></body>",
    )

    assert (found.title, found.metadata) == ("A & B", {"language": "en", "author": "Ada"})
    assert found.text == (
        "# One two\n\nword é\n\\# none\n\n- first\n- second\n\na | b\n1 | 2\n\n````\nif x:\n    ```\n````\n\nmore"
    )


def test_html_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    page = '<meta charset="koi8-r"><p>Съешь же</p>'

    assert read(tmp_path, "page.html", page.encode("koi8-r")).text == "Съешь же"


def test_a_pdf_tells_where_its_pages_begin(tmp_path: Path) -> None:
    found = read(tmp_path, "paper.pdf", files.pdf(["Page one.", "", "Page three."]))

    assert found.text == "Page one.\n\n\n\nPage three."
    assert found.title == "A title"
    assert (found.metadata["pages"], found.metadata["page_starts"]) == (3, [0, 11, 13])


def test_a_pdf_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    whole = files.pdf(["Page one."])

    assert "is no PDF file" in refused(tmp_path, "a.pdf", b"hello")
    assert "has no text" in refused(tmp_path, "a.pdf", files.pdf([""]))
    assert "is encrypted" in refused(tmp_path, "a.pdf", files.encrypted_pdf(["x"], "secret"))
    assert refused(tmp_path, "a.pdf", whole[:60]).startswith("unreadable_file")
    assert refused(tmp_path, "a.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 50).startswith("unreadable_file")


def test_a_pdf_with_an_empty_password_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "a.pdf", files.encrypted_pdf(["Open."], "")).text == "Open."


def test_a_docx_becomes_markdown(tmp_path: Path) -> None:
    found = read(tmp_path, "letter.docx", files.docx("A letter"))

    assert found.text == (
        "# The whole\n\n## One\n\nText of\tone.\n\n\\# no header\n\ncell 0 | cell 1\ncell 2 | cell 3\n\n"
        "### Two\n\nText of two."
    )
    assert (found.title, found.metadata["author"], found.chunker) == ("A letter", "Ada", "markdown_headers")


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    book = files.epub({"b": "<h1>First</h1><p>One<a id='x'/></p>", "a": "<h1>Second</h1>Two"})

    found = read(tmp_path, "book.epub", book)

    assert found.text == "# First\n\nOne\n\n# Second\n\nTwo"
    assert found.metadata == {"title": "A book", "author": "Ada", "language": "en"}


def test_an_epub_that_is_locked_or_damaged_says_so(tmp_path: Path) -> None:
    lock = '<encryption><EncryptedData><CipherReference URI="OPS/text/a.xhtml"/></EncryptedData></encryption>'

    locked = files.epub({"a": "x"}, {"META-INF/encryption.xml": lock})

    assert "protected against copying" in refused(tmp_path, "a.epub", locked)
    assert "lacks its part META-INF/container.xml" in refused(tmp_path, "a.epub", files.zipped({"x": "y"}))
    assert "is no EPUB file" in refused(tmp_path, "a.epub", b"PK\x03\x04")


def test_a_docx_says_once_what_stands_in_nested_tables_and_on_every_page(tmp_path: Path) -> None:
    found = read(tmp_path, "report.docx", files.paged_docx())

    assert found.text == "A header\n\nouter inner other | beside\n\nText.\n\nA footer"


@pytest.mark.parametrize("name", ["a.docx", "a.epub"])
@pytest.mark.parametrize(
    "data", [b"hello", files.zipped({"x": "y"}), files.zipped({"word/document.xml": "<w"}), files.docx()[:3000]]
)
def test_an_archive_that_is_something_else_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    assert refused(tmp_path, name, data).startswith("unreadable_file")


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.csv", 'name,note\nAda,"a, ""b""\nc"\nBob,\n', 'name: Ada\nnote: a, "b"\nc\n\nname: Bob'),
        ("a.csv", "name;age\nAda;1,5\n\nBob;2;extra\n", "name: Ada\nage: 1,5\n\nname: Bob\nage: 2\ncolumn 3: extra"),
        ("a.csv", "only,columns\n", "only\ncolumns"),
        ("a.csv", "1,alpha\n2,beta\n", "column 1: 1\ncolumn 2: alpha\n\ncolumn 1: 2\ncolumn 2: beta"),
        (
            "a.csv",
            "2020-01-01,$5\n2020-01-02,$6\n",
            "column 1: 2020-01-01\ncolumn 2: $5\n\ncolumn 1: 2020-01-02\ncolumn 2: $6",
        ),
        ("a.csv", "1,alpha\n", "column 1: 1\ncolumn 2: alpha"),
        ("a.csv", "2019,x\n2020,y\n", "column 1: 2019\ncolumn 2: x\n\ncolumn 1: 2020\ncolumn 2: y"),
        ("a.csv", "land,2019,2020\nChad,4,5\n", "land: Chad\n2019: 4\n2020: 5"),
        ("a.csv", "id,land\n1,Chad\n,\n2,\n", "id: 1\nland: Chad\n\nid: 2"),
        ("a.csv", "1,alpha\n2,\n", "column 1: 1\ncolumn 2: alpha\n\ncolumn 1: 2"),
        ("a.tsv", "name\tage\nAda, B\t36\n", "name: Ada, B\nage: 36"),
        ("a.json", '[{"a": {"b": [1, 2]}, "c": null}, "x", []]', "a.b: 1, 2\n\nx"),
        ("a.json", '{"a": [{"b": true}, {"b": "y"}], "title": "T"}', "a[0].b: true\na[1].b: y\n\ntitle: T"),
        ("a.json", "3.50", "3.5"),
        ("a.jsonl", '{"a": "x"}\n\n{"a": "y", "b": [[1], {"c": 2}]}\n', "a: x\n\na: y\nb[0]: 1\nb[1].c: 2"),
    ],
)
def test_data_becomes_paragraphs_of_lines(tmp_path: Path, name: str, data: str, text: str) -> None:
    assert read(tmp_path, name, data).text == text


def test_a_cell_of_a_table_may_be_as_long_as_the_text(tmp_path: Path) -> None:
    long = "x" * 200_000

    found = read(tmp_path, "a.csv", f"id,note\n1,{long}\n", 10**6)

    assert found.text == f"id: 1\nnote: {long}"


def test_a_notebook_becomes_markdown(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# One\n", "Text"]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "not this"}]},
    ]
    notebook = {"cells": cells, "metadata": {"kernelspec": {"language": "julia"}}}

    found = read(tmp_path, "a.ipynb", json.dumps(notebook))

    assert found.text == "# One\nText\n\n```julia\nx = 1\n```"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.json", "{", "is no JSON: "),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', "is no JSON in line 2: "),
        ("a.ipynb", "[]", "is no notebook"),
    ],
)
def test_data_that_cannot_be_read_says_why(tmp_path: Path, name: str, data: str, said: str) -> None:
    assert said in refused(tmp_path, name, data, 10**6)
