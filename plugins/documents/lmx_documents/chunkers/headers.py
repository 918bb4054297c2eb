"""Finds the headers of a Markdown text (CommonMark 0.31, 4.2, 4.3, 4.5), and nothing that only looks like one."""

import re
from collections.abc import Iterator

from attrs import define, field, frozen

LINE = re.compile(r"[^\n]*+\n?")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
NO_PARAGRAPH = re.compile(r"\t| {4}| {0,3}(?:[>|]|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|<)")
LINK = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()\s]{0,500}\)")
ATTRIBUTES = re.compile(r"\{[#.][^{}]{0,100}\}$")
LONGEST_TITLE = 200
LONGEST_SETEXT = 3
"""Lines of a header that is underlined; a longer paragraph before a row of dashes is one."""


@frozen
class Header:
    """A header, its level from 1 to 6, and where it stands."""

    start: int
    end: int
    level: int
    title: str


@define
class _Scanner:
    """Reads line by line and remembers what it is in."""

    fence: str = ""
    comment: bool = False
    paragraph: list[tuple[int, str]] = field(factory=list)
    """The lines of the paragraph so far, with their places."""

    def read(self, start: int, line: str) -> Header | None:
        """The header that this line makes."""
        if self.fence or self.comment:
            self._read_block(line)
            return None
        stripped = line.strip()
        header = self._atx(start, line, stripped) or self._setext(start, line, stripped)
        if header or not stripped or self._opens_block(line, stripped):
            self.paragraph = []
        elif self.paragraph or not NO_PARAGRAPH.match(line):
            self.paragraph.append((start, stripped))
        return header

    def _read_block(self, line: str) -> None:
        if self.comment:
            self.comment = "-->" not in line
            return
        stripped = line.strip()
        closes = stripped.startswith(self.fence) and not stripped.strip(self.fence[0])
        if closes and FENCE.match(line):
            self.fence = ""

    def _opens_block(self, line: str, stripped: str) -> bool:
        if fence := FENCE.match(line):
            self.fence = "" if fence[1][0] == "`" and "`" in line[fence.end() :] else fence[1]
        elif stripped.startswith("<!--"):
            self.comment = "-->" not in stripped
        return bool(self.fence or self.comment)

    def _atx(self, start: int, line: str, stripped: str) -> Header | None:
        text = stripped.lstrip("#")
        level = len(stripped) - len(text)
        if not 1 <= level <= 6 or (text and not text[0].isspace()) or NO_PARAGRAPH.match(line):
            return None
        bare = text.rstrip("#")
        return Header(start, start + len(line), level, _title(bare if bare[-1:].isspace() else text))

    def _setext(self, start: int, line: str, stripped: str) -> Header | None:
        if not self.paragraph or len(self.paragraph) > LONGEST_SETEXT or line.startswith(("    ", "\t")):
            return None
        if not stripped or stripped.strip(stripped[0]) or stripped[0] not in "=-":
            return None
        title = " ".join(text for _, text in self.paragraph)
        return Header(self.paragraph[0][0], start + len(line), 1 if stripped[0] == "=" else 2, _title(title))


def headers_of(text: str) -> Iterator[Header]:
    """All headers, in order."""
    scanner = _Scanner()
    for line in LINE.finditer(text, front_matter_end(text)):
        if line.group() and (header := scanner.read(line.start(), line.group())):
            yield header


def front_matter_end(text: str) -> int:
    """Where the YAML or TOML before the text ends, its closing line included; 0 where there is none."""
    fence = text[:3]
    first = LINE.match(text)
    if fence not in {"---", "+++"} or first is None or first.group().strip() != fence:
        return 0
    if not text[first.end() : first.end() + 1].strip():
        return 0  # a blank line: this is a rule, and the text has begun
    for line in LINE.finditer(text, first.end()):
        if line.group().rstrip() in ({fence, "..."} if fence == "---" else {fence}):
            return line.end()
    return 0


def _title(raw: str) -> str:
    """What the header says, without markup."""
    short = raw.strip()[: 2 * LONGEST_TITLE]
    plain = LINK.sub(r"\1", ATTRIBUTES.sub("", short)).replace("`", "").replace("**", "").replace("__", "")
    return " ".join(plain.split())[:LONGEST_TITLE].strip()
