"""Which dialect a model speaks, what that makes it able to do, and what its template is told."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import evolve

from lmx.workers import recipe
from lmx.workers.constraints import Constraints
from lmx.workers.dialect import Dialect, dialect_of
from lmx.workers.preparation import Preparation
from lmx_echo.byte_tokenizer import TURN, ByteTokenizer
from lmx_hookspecs import (
    Capability,
    DialectParser,
    DialectSpec,
    GenerationRequest,
    Message,
    Parsed,
    ParserRequest,
)
from lmx_hookspecs.errors import ConfigError, UnsupportedParameter

TOOLS = ({"type": "function", "function": {"name": "f"}},)
CHAT = GenerationRequest(model="m", messages=[Message(role="user", content="hi")])


class Plain:
    def feed(self, text: str) -> Parsed:
        return Parsed(text=text)

    def finish(self) -> Parsed:
        return Parsed()


def spec_of(name: str, word: str, **fields: Any) -> DialectSpec:
    def parser(_: ParserRequest) -> DialectParser:
        return Plain()

    return DialectSpec(**{"name": name, "matches": lambda template: word in template, "parser": parser, **fields})


def of(template: str, *specs: DialectSpec, **settings: Any) -> Dialect:
    return dialect_of(ByteTokenizer(chat_template=template), specs, settings)


def test_the_first_spec_that_matches_the_template_is_taken() -> None:
    dialect = of("<b> <c>", spec_of("a", "<a>"), spec_of("b", "<b>"), spec_of("c", "<c>"))

    assert dialect.spec is not None
    assert dialect.spec.name == "b"


def test_dialects_of_plugins_come_by_priority() -> None:
    found = recipe.dialects({"lmx_dialects": ["dialects"]})

    assert [spec.priority for spec in found] == sorted((spec.priority for spec in found), reverse=True)
    assert "hermes" in {spec.name for spec in found}
    assert recipe.dialects({}) == []


@pytest.mark.parametrize(
    ("template", "tools", "able"),
    [
        ("<a> {% if tools %}", True, {Capability.TOOLS}),
        ("<a> {{ message.tools }}", True, set()),
        ("<a>", True, set()),
        ("<a> {% if tools %}", False, set()),
        ("{% if tools %}", True, set()),
        ("{% if enable_thinking %}", True, {Capability.REASONING_EFFORT}),
        ("{{ reasoning_effort }}", True, {Capability.REASONING_EFFORT}),
    ],
)
def test_tools_need_a_template_that_shows_them_and_a_dialect_that_reads_calls(
    template: str, tools: bool, able: set[str]
) -> None:
    assert of(template, spec_of("a", "<a>", tools=tools)).capabilities == able


def test_a_setting_names_the_dialect_or_none() -> None:
    specs = (spec_of("a", "<a>"), spec_of("b", "<b>"))

    assert of("<a>", *specs, dialect="b").spec is specs[1]
    assert of("<a>", *specs, dialect="none").spec is None


def test_a_setting_that_names_no_dialect_fails_the_load_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no dialect 'x'; set `dialect` to one of a, b, none"):
        of("<a>", spec_of("a", "<a>"), spec_of("b", "<b>"), dialect="x")


@pytest.mark.parametrize(
    ("template", "effort", "arguments", "warnings"),
    [
        ("{{ reasoning_effort }}", "high", {"reasoning_effort": "high"}, 0),
        ("{% if enable_thinking %}", "none", {"enable_thinking": False}, 0),
        ("{% if enable_thinking %}", "high", {"enable_thinking": True}, 1),
        ("{% if thinking %}", "none", {"thinking": False}, 0),
        ("", None, {}, 0),
    ],
)
def test_reasoning_effort_reaches_the_template_under_the_name_it_knows(
    template: str, effort: str | None, arguments: Mapping[str, Any], warnings: int
) -> None:
    told: list[str] = []

    assert of(template).arguments(evolve(CHAT, reasoning_effort=effort), told) == arguments
    assert len(told) == warnings


def test_what_the_client_sets_by_the_template_s_own_name_wins() -> None:
    request = evolve(CHAT, reasoning_effort="none", chat_template_kwargs={"enable_thinking": True})

    assert of("{% if enable_thinking %}").arguments(request, []) == {"enable_thinking": True}


def test_the_parser_is_told_of_the_request_and_of_the_end_of_the_prompt() -> None:
    asked: list[ParserRequest] = []

    def parser(request: ParserRequest) -> DialectParser:
        asked.append(request)
        return Plain()

    dialect = of("<a> tools", spec_of("a", "<a>", parser=parser), reasoning="open")
    request = evolve(CHAT, tools=TOOLS, n=2, stream=True, parallel_tool_calls=False)

    Preparation(ByteTokenizer(), 1_000, dialect).answer(1, request, 0.0)

    told = ParserRequest(tools=TOOLS, parallel=False, stream=True, prompt_end=asked[0].prompt_end, reasoning="open")
    assert asked == [told, told]
    assert asked[0].prompt_end.endswith("hi")


def test_a_completion_is_never_read() -> None:
    dialect = of("<a>", spec_of("a", "<a>"))

    answer = Preparation(ByteTokenizer(), 100, dialect).answer(1, GenerationRequest(model="m", prompts=["x"]), 0.0)

    assert answer.rows[0].reader is None


def test_the_dialect_has_its_say_in_the_history_before_the_template() -> None:
    def history(messages: Sequence[Message]) -> Sequence[Message]:
        return [evolve(message, content="HI") for message in messages]

    dialect = of("<a>", spec_of("a", "<a>", history=history))

    answer = Preparation(ByteTokenizer(), 100, dialect).answer(1, CHAT, 0.0)

    assert list(answer.rows[0].request.tokens) == [TURN, *b"HI"]


def test_a_preset_s_template_brings_its_own_dialect() -> None:
    dialect = of("<a>", spec_of("a", "<a>"), spec_of("b", "<b>", history=lambda _: [Message(role="user", content="B")]))

    assert dialect.messages(evolve(CHAT, chat_template="<b>"), CHAT.messages or ())[0].content == "B"
    assert dialect.messages(CHAT, CHAT.messages or ())[0].content == "hi"


def test_a_call_that_the_host_cannot_force_is_refused() -> None:
    nothing = Constraints((), ByteTokenizer(), Dialect(), masks=False)
    forced = evolve(CHAT, tools=TOOLS, tool_choice="required")

    with pytest.raises(UnsupportedParameter) as caught:
        Preparation(ByteTokenizer(), 1_000, constraints=nothing).answer(1, forced, 0.0)

    assert caught.value.param == "tool_choice"
