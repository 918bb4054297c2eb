import pytest

pytest.importorskip("tree_sitter_language_pack")

from document_samples import PYTHON, Words
from lmx_documents.chunkers.code import cut_code
from lmx_hookspecs import CutOptions


def cut(text: str, language: str, size: int) -> list[tuple[str, str]]:
    spans = cut_code(text, Words(), CutOptions(size=size, overlap=0, language=language))
    return [(span.title, text[span.start : span.end]) for span in spans]


def test_definitions_share_a_chunk_while_they_fit() -> None:
    text = "def a():\n    return 1\n\n\ndef b():\n    return 2\n\n\ndef c():\n    return 3\n"

    assert cut(text, "python", 9) == [
        ("a, b", "def a():\n    return 1\n\n\ndef b():\n    return 2\n\n\n"),
        ("c", "def c():\n    return 3\n"),
    ]


def test_what_does_not_fit_is_taken_apart_under_its_names() -> None:
    chunks = cut(PYTHON, "python", 14)

    assert [title for title, _ in chunks] == ["Store", "Store", "Store.open", "Store.close, main"]
    assert chunks[2][1].lstrip().startswith("def open")


def test_comments_and_decorators_stay_with_what_they_stand_before() -> None:
    text = "x = 1  # one\n\n# About f.\n# More.\n@decorated\ndef f():\n    return 1\n"

    assert cut(text, "python", 12) == [
        ("", "x = 1  # one\n\n"),
        ("f", "# About f.\n# More.\n@decorated\ndef f():\n    return 1\n"),
    ]


RUST = "impl Show for Bag {\n    fn show(&self) {\n        a();\n    }\n    fn hide(&self) {\n        b();\n    }\n}\n"
CPP = "namespace n {\nint *Bag::show(int x) {\n  return a ( x ) ;\n}\nclass Box {\n  void f ( ) ;\n};\n}\n"
JAVASCRIPT = (
    "export const f = () => {\n  return a ( 1 ) ;\n};\nexport default class Bag {\n  show() { return a ; }\n}\n"
)
GO = "package p\n\nfunc (b *Bag) Show() {\n\ta ( 1 )\n}\n\ntype Box struct {\n\ta int\n\tb int\n}\n"
JAVA = "class Bag {\n  int show() { return a ; }\n  int hide() { return b ; }\n}\n"
RUBY = "class Bag\n  def show\n    a 1\n  end\n  def hide\n    b 2 3\n  end\nend\n"
TYPESCRIPT = "interface Box {\n  a : number ;\n}\nfunction show ( x : Box ) {\n  return x ;\n}\n"


@pytest.mark.parametrize(
    ("language", "text", "titles"),
    [
        ("rust", RUST, {"Bag.show", "Bag.hide"}),
        ("cpp", CPP, {"n.Bag::show", "n.Box"}),
        ("javascript", JAVASCRIPT, {"f", "Bag"}),
        ("go", GO, {"Show", "Box"}),
        ("java", JAVA, {"Bag.show", "Bag.hide"}),
        ("ruby", RUBY, {"Bag.show", "Bag.hide"}),
        ("typescript", TYPESCRIPT, {"Box", "show"}),
    ],
)
def test_names_are_found_in_many_languages(language: str, text: str, titles: set[str]) -> None:
    found = {name for title, _ in cut(text, language, 8) for name in title.split(", ")}

    assert titles <= found


def test_symbols_and_language_are_metadata() -> None:
    spans = cut_code(PYTHON, Words(), CutOptions(size=200, overlap=0, language="python"))

    assert [span.metadata for span in spans] == [{"symbols": ["Store", "main"], "language": "python"}]


@pytest.mark.parametrize("language", ["", "klingon", "json"])
def test_what_is_not_in_the_language_is_cut_between_lines(language: str) -> None:
    chunks = [chunk for _, chunk in cut("a b c\nd e\nf g h\n", language, 5)]

    assert chunks == ["a b c\nd e\n", "f g h\n"]


def test_places_are_in_characters_not_bytes() -> None:
    text = "x = '日本語😀é'\n\n\ndef f():\n    return 'ü'\n\n\ndef g():\n    return '語'\n"

    assert cut(text, "python", 4) == [
        ("", "x = '日本語😀é'\n\n\n"),
        ("f", "def f():\n    return 'ü'\n\n\n"),
        ("g", "def g():\n    return '語'\n"),
    ]


def test_deeply_nested_code_is_cut() -> None:
    depth = 20_000

    assert len(cut("( " * depth + ") " * depth, "python", 512)) >= 2 * depth // 512


def test_a_text_too_long_for_a_tree_is_cut_between_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx_documents.chunkers.syntax.MOST_CHARS", 10)

    assert [title for title, _ in cut("def a():\n    return 1\n", "python", 9)] == [""]
