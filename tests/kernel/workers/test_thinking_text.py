from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx.workers.gate import Thinking
from lmx.workers.thinking_text import ThinkingText

ANSWER = '{"a": "see <think> and </think>, or <tool_call>", "b": 1}'


def read(*chunks: str, begun: bool = False) -> tuple[str, str]:
    """Reasoning and text."""
    parser = ThinkingText(Thinking(begins="<think>", ends="</think>", begun=begun))
    parts = [*map(parser.feed, chunks), parser.finish()]
    return "".join(part.reasoning for part in parts), "".join(part.text for part in parts)


@pytest.mark.parametrize(
    ("raw", "begun", "expected"),
    [
        (ANSWER, False, ("", ANSWER)),
        (f"<think>\nhm\n</think>\n\n{ANSWER}", False, ("hm", ANSWER)),
        (f"hm </think> {ANSWER}", True, ("hm", ANSWER)),
        (f"\n<think></think>{ANSWER}", False, ("", ANSWER)),
        ("<think>for ever \n", False, ("for ever", "")),
        ("<thin", False, ("", "<thin")),
        (" <b>", False, ("", " <b>")),
    ],
)
def test_tags_mean_something_at_the_beginning_only(raw: str, begun: bool, expected: tuple[str, str]) -> None:
    assert read(raw, begun=begun) == expected


@given(st.text("<think/> \nab", max_size=60), st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_every_split_of_an_answer_reads_the_same(raw: str, places: list[int], begun: bool) -> None:
    cuts = sorted({0, len(raw), *(place for place in places if place < len(raw))})
    chunks = [raw[start:end] for start, end in pairwise(cuts)]

    assert read(*chunks, begun=begun) == read(raw, begun=begun)
