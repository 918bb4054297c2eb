"""Makes the collection from the reStructuredText of Python's documentation, as Debian's python3.11-doc carries it.

    apt-get download python3.11-doc && dpkg-deb -x python3.11-doc_*.deb there
    python make_collection.py there/usr/share/doc/python3.11/html/_sources

A document is a section. Where its heading in the FAQ is a question, the question is a query, whose one relevant
document is the section without its heading: the answer that the authors of the FAQ wrote.
"""

import argparse
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from attrs import frozen

HERE = Path(__file__).parent
PARTS = ("faq", "tutorial", "howto", "reference", "using", "extending", "installing")
UNDERLINES = frozenset("=-~^*#\"'+")
LEAST_WORDS = 12
"""A section with fewer is a bare list of links, or a heading over other sections."""


@frozen
class Section:
    """A heading and what stands under it, up to the next one."""

    id: str
    heading: str
    body: str


def sections(sources: Path) -> Iterator[Section]:
    """All sections of the chosen parts, in order."""
    for part in PARTS:
        for file in sorted((sources / part).glob("*.rst.txt")):
            page = f"{part}/{file.name.removesuffix('.rst.txt')}"
            for number, (heading, body) in enumerate(cut(file.read_text(encoding="utf-8"))):
                if len(body.split()) >= LEAST_WORDS:
                    yield Section(f"{page}/{number}", heading, body)


def cut(text: str) -> Iterator[tuple[str, str]]:
    """Headings, which are underlined, and the plain text below each."""
    lines = text.splitlines()
    starts = [place for place in range(len(lines) - 1) if is_heading(lines[place], lines[place + 1])]
    for start, end in pairwise([*starts, len(lines)]):
        yield plain(lines[start]).strip(), plain("\n".join(lines[start + 2 : end]))


def is_heading(line: str, below: str) -> bool:
    """Whether the line below underlines this one."""
    underlined = len(set(below)) == 1 and below[0] in UNDERLINES and len(below) >= len(line.rstrip())
    return bool(line.strip()) and not line.startswith((" ", "..")) and underlined and len(set(line)) > 1


def plain(text: str) -> str:
    """Without markup: roles and links leave their words, directives their content, comments and options nothing."""
    text = re.sub(
        r"^\s*\.\. (?:_[^\n]*|index::[^\n]*(?:\n[ \t]+[^\n]*)*|[\w-]+::[^\n]*)$", "", text, flags=re.MULTILINE
    )
    text = re.sub(r"^\s*\.\. [^\n]*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s+:[\w-]+:[^`\n]*$", "", text, flags=re.MULTILINE)
    text = re.sub(r":[\w:+-]+:`[!~]?([^`<]*?)\s*(?:<[^`>]*>)?`", r"\1", text)
    text = re.sub(r"`([^`<]+?)\s*<[^`>]*>`__?", r"\1", text)
    text = re.sub(r"``([^`]*)``", r"\1", text)
    text = re.sub(r"^[=\-~^*#\"'+]{3,}$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*?([^*\n]+)\*\*?|\|([^|\n]+)\|", r"\1\2", text)
    return re.sub(r"\n\s*\n\s*", "\n\n", text.replace("::\n", ":\n")).strip()


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    found = list(sections(parser.parse_args().sources))
    asked = [one for one in found if one.id.startswith("faq/") and one.heading.endswith("?")]
    documents = [{"id": one.id, "title": "" if one in asked else one.heading, "text": one.body} for one in found]
    lines = (json.dumps(document, ensure_ascii=False) for document in documents)
    (HERE / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (HERE / "queries.tsv").write_text("".join(f"{one.id}\t{one.heading}\n" for one in asked), encoding="utf-8")
    (HERE / "qrels.txt").write_text("".join(f"{one.id} 0 {one.id} 1\n" for one in asked), encoding="utf-8")
    print(f"{len(found)} documents, {len(asked)} queries")


if __name__ == "__main__":
    main()
