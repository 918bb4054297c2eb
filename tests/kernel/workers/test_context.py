from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx.workers.context import Cuts, room_for_prompt, trim
from lmx_hookspecs import Message
from lmx_hookspecs.errors import ContextLengthExceeded
from token_host_support import ScriptedSteps, hosted, script

LETTERS = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
CHATS = st.text("suat", min_size=1, max_size=30)


def chat(roles: str) -> list[Message]:
    """A message for each letter; its content is as long as its place is high."""
    return [Message(role=LETTERS[letter], content="x" * place) for place, letter in enumerate(roles)]  # type: ignore[arg-type]  # the letters are roles


def render(messages: Sequence[Message]) -> list[int]:
    """Two tokens a message and one a character."""
    return [0] * sum(2 + len(message.content or "") for message in messages)


def kept(roles: str, cut: frozenset[int]) -> str:
    return "".join(letter for place, letter in enumerate(roles) if place not in cut)


@pytest.mark.parametrize(
    ("roles", "cuts"),
    [
        ("suaua", ["suaua", "sua"]),
        ("suauau", ["suauau", "suau", "su"]),
        ("suatatua", ["suatatua", "sua"]),
        ("suatatat", ["suatatat", "suatat", "suat"]),
        ("uasu", ["uasu", "su"]),
        ("aaa", ["aaa", "aa", "a"]),
        ("ss", ["ss"]),
        ("u", ["u"]),
    ],
)
def test_old_turns_go_first_and_what_belongs_together_goes_together(roles: str, cuts: Sequence[str]) -> None:
    assert [kept(roles, cut) for cut in Cuts(chat(roles)).all()] == cuts


@given(CHATS)
def test_no_cut_loses_instructions_the_question_or_the_newest_message(roles: str) -> None:
    asks = roles.rfind("u")

    for cut in Cuts(chat(roles)).all():
        assert all(roles[place] != "s" for place in cut)
        assert asks not in cut
        assert len(roles) - 1 not in cut


@given(CHATS)
def test_no_cut_leaves_a_tool_result_without_its_call(roles: str) -> None:
    for cut in Cuts(chat(roles)).all():
        for place in range(1, len(roles)):
            if roles[place] == "t" and roles[place - 1] in "at":
                assert (place in cut) == (place - 1 in cut)


@given(CHATS, st.integers(0, 600))
def test_as_much_is_kept_as_fits(roles: str, room: int) -> None:
    messages = chat(roles)

    trimmed = trim(messages, render, room, room)

    lengths = [
        len(render([message for place, message in enumerate(messages) if place not in cut]))
        for cut in Cuts(messages).all()
    ]
    assert len(trimmed.tokens or ()) == next((length for length in lengths if length <= room), lengths[-1])


def test_a_hundred_turns_are_rendered_a_few_times_only() -> None:
    calls = []

    def counted(messages: Sequence[Message]) -> list[int]:
        calls.append(len(messages))
        return render(messages)

    trim(chat("ua" * 100 + "u"), counted, 500, 500)

    assert len(calls) <= 10


def test_the_warning_names_what_was_left_out() -> None:
    trimmed = trim(chat("uasuau"), render, 15, 15)

    assert trimmed.warning(6) == (
        "4 of 6 messages were left out to fit the context: messages[0] to messages[1], messages[3] to messages[4]"
    )


def test_room_is_left_for_the_answer() -> None:
    assert room_for_prompt(8192, None) == 8192 - 1024
    assert room_for_prompt(8192, 100) == 8092
    assert room_for_prompt(512, None) == 256
    assert room_for_prompt(512, 512) == 256


def long_chat(words: int) -> list[Message]:
    return [
        Message(role="system", content="be brief"),
        *(Message(role="user" if turn % 2 else "assistant", content=f"{turn} " * words) for turn in range(1, 10)),
    ]


def test_a_chat_longer_than_the_context_is_refused_and_told_how_to_trim() -> None:
    with hosted(ScriptedSteps(script("a"))) as kernel, pytest.raises(ContextLengthExceeded, match="context_policy"):
        kernel.generate(prompts=(), messages=long_chat(6))


def test_a_trimmed_chat_is_answered_and_the_warning_comes_with_it() -> None:
    engine = ScriptedSteps(script("ab"))

    with hosted(engine) as kernel:
        pieces = kernel.generate(prompts=(), messages=long_chat(6), context_policy="trim", max_tokens=20)

    (request,) = engine.requests
    assert len(request.tokens) <= 80
    assert [warning for piece in pieces for warning in piece.warnings] == [
        "4 of 10 messages were left out to fit the context: messages[1] to messages[4]"
    ]


def test_a_question_that_does_not_fit_by_itself_is_refused() -> None:
    with hosted(ScriptedSteps(script("a"))) as kernel, pytest.raises(ContextLengthExceeded):
        kernel.generate(prompts=(), messages=long_chat(60), context_policy="trim")
