"""Token counters and texts that chunkers are tried with."""

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from lmx_hookspecs import TokenCounter
from lmx_hookspecs.token_counting import counter_of

MODELS = Path(__file__).parents[1] / "plugins" / "tiny" / "lmx_tiny" / "models"


@frozen
class Words:
    """A token for each word."""

    def count(self, text: str) -> int:
        return len(text.split())

    def ends(self, text: str) -> Sequence[int]:
        return [word.end() for word in re.finditer(r"\S+", text)]


@frozen
class Characters:
    """A token for each character."""

    def count(self, text: str) -> int:
        return len(text)

    def ends(self, text: str) -> Sequence[int]:
        return range(1, len(text) + 1)


def counters() -> dict[str, TokenCounter]:
    return {
        "words": Words(),
        "characters": Characters(),
        "wordpiece": counter_of(MODELS / "lmx-tiny-embed" / "tokenizer.json"),
        "byte-level": counter_of(MODELS / "lmx-tiny" / "tokenizer.json"),
    }


PROSE = (
    "It was late. Dr. Smith (as he was called) read version 3.14 of the paper; e.g. its first page. Nobody came!\n"
    "“Why?” he asked… And then: silence.\n\n"
    "1. A list.\n2. Another item of it.\n\n"
    "日本語の文です。句読点で切れます\uff01「本当\uff1f」はい。中文也可以\uff0c对不对\uff1f是的。\n"
    "यह एक वाक्य है। यह दूसरा है। هل هذا سؤال؟ نعم. ภาษาไทยไม่มีช่องว่างระหว่างคำ\n"
)
MARKDOWN = (
    "---\ntitle: T\n---\n\nBefore all headers.\n\n# One\n\nText of one.\n\n## Deep `code` ##\n\nA fence:\n\n"
    "````md\n# not a header\n```\nnor\n```\n````\n\n~~~\n## neither\n~~~\n\nSetext\n======\n\nMore.\n\nSecond\n---\n\n"
    "    # indented code\n\n### Three\n\n- item\n---\n\n<!--\n# hidden\n-->\n\n#nospace\n\n"
    "###### Six ######\r\n\r\nEnd.\r\n"
)
PYTHON = '''"""Module."""
import os


# Says hello.
@decorated
class Store:
    """A store."""

    limit = 3  # trailing

    def open(self) -> None:
        """Open it."""
        for name in os.listdir("."):
            if name.endswith("é😀"):
                print(name)

    def close(self): pass


def main() -> int:
    return 0
'''
