import pytest

from document_samples import MARKDOWN, Words
from lmx_documents.chunkers.headers import front_matter_end, headers_of
from lmx_documents.chunkers.markdown import cut_markdown
from lmx_hookspecs import CutOptions

LONG = "One two three four five six seven eight. "


def cut(text: str, size: int = 20) -> list[tuple[str, str]]:
    """Titles, and chunks without the white space around them."""
    spans = cut_markdown(text, Words(), CutOptions(size=size, overlap=0))
    assert all(span.metadata.get("headers", []) == [part for part in span.title.split(" > ") if part] for span in spans)
    return [(span.title, text[span.start : span.end].strip()) for span in spans]


def headers(text: str) -> list[tuple[int, str]]:
    return [(header.level, header.title) for header in headers_of(text)]


def test_headers_of_all_kinds_are_found_and_nothing_else() -> None:
    assert headers(MARKDOWN) == [(1, "One"), (2, "Deep code"), (1, "Setext"), (2, "Second"), (3, "Three"), (6, "Six")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A [link](http://x) and **b** {#id}", [(1, "A link and b")]),
        ("   ### C # sharp #\n#\n#\tTab", [(3, "C # sharp"), (1, ""), (1, "Tab")]),
        ("####### seven\n\\# escaped\n    # code\n- # item\n> # quote", []),
        ("two\nlines\n===", [(1, "two lines")]),
        ("a\n\n---\n\nb\n- - -\n", []),
        ("one\ntwo\nthree\nfour\n---\n", []),
        ("| a |\n---\n", []),
        ("```\n# a\n~~~\n# b\n````\n# c", [(1, "c")]),
        ("``` a`b\n# c", [(1, "c")]),
        ("~~~\n# never closed", []),
        ("text\n```\n# a\n```\n---\n", []),
        ("<!-- a -->\n# b\n<!--\n# c\n-->\n# d", [(1, "b"), (1, "d")]),
        ("# " + "x" * 1_000, [(1, "x" * 200)]),
    ],
)
def test_headers_follow_commonmark(text: str, expected: list[tuple[int, str]]) -> None:
    assert headers(text) == expected


@pytest.mark.parametrize(
    ("text", "front"),
    [
        ("---\na: 1\n---\n# b", "---\na: 1\n---\n"),
        ("+++\na = 1\n+++\n", "+++\na = 1\n+++\n"),
        ("---\r\na: 1\r\n...\r\nb", "---\r\na: 1\r\n...\r\n"),
        ("---\n\na\n\n---\n", ""),
        ("---\na: 1\n", ""),
        ("a\n---\nb: 1\n---\n", ""),
    ],
)
def test_front_matter_is_told_from_rules(text: str, front: str) -> None:
    assert text[: front_matter_end(text)] == front


def test_each_section_is_a_chunk_under_its_headers() -> None:
    text = f"Before.\n\n# A\n\n{LONG}\n\n## B\n\n{LONG}\n\n# C\n\n{LONG}"

    assert cut(text) == [
        ("", "Before."),
        ("A", f"# A\n\n{LONG}".strip()),
        ("A > B", f"## B\n\n{LONG}".strip()),
        ("C", f"# C\n\n{LONG}".strip()),
    ]


def test_a_header_without_a_text_goes_with_what_follows() -> None:
    text = f"# A\n\n## B\n\n{LONG}\n\n## C\n\n### D\n\n{LONG}"

    assert cut(text) == [
        ("A > B", f"# A\n\n## B\n\n{LONG}".strip()),
        ("A > C > D", f"## C\n\n### D\n\n{LONG}".strip()),
    ]


def test_tiny_neighbours_under_one_header_share_a_chunk() -> None:
    text = f"# A\n\n{LONG}\n\n## B\n\nb\n\n## C\n\nc\n\n# D\n\nd\n\n# E\n\ne"

    assert cut(text) == [
        ("A", f"# A\n\n{LONG}".strip()),
        ("A", "## B\n\nb\n\n## C\n\nc"),
        ("D", "# D\n\nd"),
        ("E", "# E\n\ne"),
    ]


def test_a_large_section_is_cut_further_with_its_title_kept() -> None:
    text = f"# A\n\n{LONG * 3}"

    assert cut(text, size=20) == [("A", f"# A\n\n{LONG * 2}".strip()), ("A", LONG.strip())]


def test_front_matter_is_a_chunk_without_a_title() -> None:
    assert cut(f"---\ntitle: x\n---\n\n# A\n\n{LONG}")[0] == ("", "---\ntitle: x\n---")
