"""HTML as Markdown, as far as that helps to cut and to find it: headers, lists, tables, code, and text between them.

It is read as a stream of tags: no tree is built, so that neither depth nor the number of tags takes memory.
"""

import re
from collections.abc import Mapping

from attrs import define, field

from lmx_documents.readers.reading import Budget, unreadable

DROPPED = frozenset(
    {"script", "style", "nav", "noscript", "template", "svg", "math", "iframe", "object", "select", "button", "canvas"}
)
BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl"}
    | {"dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend"}
    | {"main", "ol", "p", "section", "summary", "table", "tbody", "tfoot", "thead", "ul"}
)
HEADERS: Mapping[str, int] = {f"h{level}": level for level in range(1, 7)}
FACTS = frozenset({"author", "description", "keywords", "date", "generator", "og:title", "article:published_time"})
LOOKS_LIKE_MARKDOWN = re.compile(r"(#{1,6}(?:\s|$)|`{3}|~{3}|[=-]+\s*$)")
BACKTICKS = re.compile("`{3,}")
SPACE = re.compile(r"[ \t\n\r\f\v]+")
LONGEST_FACT = 1000
MOST_DEPTH = 2_000
PART_BYTES = 65_536


def convert(html: str, budget: Budget) -> "Converter":
    """Read one page, however broken; raises InvalidRequest for one that is too long, or nested too deeply."""
    from lxml import etree

    converter = Converter(budget)
    parser = etree.HTMLParser(target=converter, encoding="utf-8", huge_tree=True, remove_pis=True)
    data = html.encode()
    for start in range(0, len(data), PART_BYTES):
        parser.feed(data[start : start + PART_BYTES])
    if html:
        parser.close()
    return converter


def fenced(code: str, language: str = "") -> str:
    """Code between fences that are longer than any in it."""
    fence = "`" * (1 + max((len(run) for run in BACKTICKS.findall(code)), default=2))
    return f"{fence}{language}\n{code}\n{fence}"


@define
class Converter:
    """What lxml tells of a page; then take `text`, `title` and `facts`."""

    _budget: Budget
    facts: dict[str, str] = field(factory=dict, init=False)
    _parts: list[str] = field(factory=list, init=False)
    _newlines: int = field(default=2, init=False)
    """Line ends that the text has at its end, or two at its beginning."""
    _space: bool = field(default=False, init=False)
    _prefix: str = field(default="", init=False)
    """What the next words begin with."""
    _in_header: bool = field(default=False, init=False)
    _depth: int = field(default=0, init=False)
    _dropped_at: int | None = field(default=None, init=False)
    """The depth of the outermost element that is left out."""
    _titles: list[str] = field(factory=list, init=False)
    _title: list[str] | None = field(default=None, init=False)
    _pre: list[str] | None = field(default=None, init=False)

    @property
    def text(self) -> str:
        """What has been read so far."""
        return "".join(self._parts)

    @property
    def title(self) -> str:
        """Of the page, else its first header."""
        return next((title for title in (*self._titles, self.facts.get("og:title", "")) if title), "")

    def start(self, tag: str, attrib: Mapping[str, str]) -> None:
        """Open an element."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise unreadable(self._budget.name, f"has elements nested more than {MOST_DEPTH} deep: simplify it")
        if self._dropped_at is not None:
            return
        if tag in DROPPED:
            self._dropped_at = self._depth
        elif tag == "title":
            self._title = []
        elif tag in {"meta", "html"}:
            self._note(tag, attrib)
        elif tag in HEADERS:
            self._end_header()
            self._prefix = "#" * HEADERS[tag] + " "
            self._in_header = True
        elif tag == "pre":
            self._pre = []
        else:
            self._open(tag, attrib)

    def end(self, tag: str) -> None:
        """Close an element."""
        self._depth -= 1
        if self._dropped_at is not None:
            self._dropped_at = None if self._depth < self._dropped_at else self._dropped_at
        elif tag == "title" and self._title is not None:
            self._titles.append(" ".join("".join(self._title).split()))
            self._title = None
        elif tag == "pre" and self._pre is not None:
            self._fence("".join(self._pre))
            self._pre = None
        elif tag in HEADERS:
            self._end_header()
        elif tag in BLOCKS:
            self._break(2)

    def data(self, data: str) -> None:
        """Text, with its entities resolved."""
        if self._dropped_at is not None:
            return
        if self._title is not None:
            self._budget.take(len(data))
            self._title.append(data)
        elif self._pre is not None:
            self._budget.take(len(data))
            self._pre.append(data)
        else:
            self._words(data)

    def comment(self, text: str) -> None:
        """Leave it out."""

    def close(self) -> None:
        """The end; lxml has closed every element."""

    def _open(self, tag: str, attrib: Mapping[str, str]) -> None:
        if tag == "br":
            self._break(1)
        elif tag == "li":
            self._break(1)
            self._prefix = "- "
        elif tag == "tr":
            self._break(1)
        elif tag in {"td", "th"} and not self._newlines:
            self._write(" | ")
            self._space = False
        elif tag in BLOCKS:
            self._break(2)
        elif tag == "img" and (described := attrib.get("alt")):
            self._words(f" {described} ")

    def _note(self, tag: str, attrib: Mapping[str, str]) -> None:
        name = "language" if tag == "html" else (attrib.get("name") or attrib.get("property") or "").lower()
        value = attrib.get("lang" if tag == "html" else "content") or ""
        if value.strip() and (name in FACTS or name == "language"):
            self.facts.setdefault(name, value.strip()[:LONGEST_FACT])

    def _words(self, data: str) -> None:
        """Text outside of `pre`, where any white space is one space."""
        words = SPACE.sub(" ", data)
        if words == " ":
            self._space = True
            return
        if self._newlines:
            words = words.lstrip(" ")
            escape = "\\" if LOOKS_LIKE_MARKDOWN.match(words) and not self._prefix else ""
            words = f"{self._prefix}{escape}{words}"
            self._prefix = ""
        elif self._space and not words.startswith(" "):
            words = f" {words}"
        self._space = words.endswith(" ")
        self._write(words.rstrip(" "))

    def _write(self, text: str) -> None:
        if text:
            self._budget.take(len(text))
            self._parts.append(text)
            self._newlines = 0

    def _break(self, newlines: int) -> None:
        self._space = self._in_header
        if self._in_header:
            return
        if self._newlines < newlines:
            self._budget.take(newlines - self._newlines)
            self._parts.append("\n" * (newlines - self._newlines))
            self._newlines = newlines

    def _end_header(self) -> None:
        self._in_header, self._prefix = False, ""
        self._break(2)

    def _fence(self, code: str) -> None:
        if code.strip():
            self._end_header()
            self._parts.append(fenced(code.strip("\n")))
            self._newlines = 0
            self._break(2)
