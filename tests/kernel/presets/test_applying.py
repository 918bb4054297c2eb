from typing import Any

import pytest

from lmx.presets import applied
from lmx_hookspecs import GenerationRequest, Message, Preset, Sampling

OPEN = frozenset({"temperature", "top_p", "seed"})
USER = Message(role="user", content="hello")


def preset(**facts: Any) -> Preset:
    return Preset(name="p", model="m", **facts)


def chat(**fields: Any) -> GenerationRequest:
    return GenerationRequest(model="preset:p", **{"messages": [USER], "open_sampling": OPEN, **fields})


def test_parameters_fill_what_the_request_leaves_open() -> None:
    parameters = {
        "temperature": 0.1,
        "seed": 7,
        "max_tokens": 5,
        "stop": ["END"],
        "num_ctx": 1024,
        "response_format": {"type": "json_object"},
    }

    request, warnings = applied(preset(parameters=parameters), chat())

    assert (request.sampling.temperature, request.sampling.seed) == (0.1, 7)
    assert (request.max_tokens, list(request.stop), request.num_ctx) == (5, ["END"], 1024)
    assert request.response_format == {"type": "json_object"}
    assert (request.open_sampling, warnings) == (frozenset({"top_p"}), [])


def test_what_the_request_says_itself_counts_also_where_it_is_the_default() -> None:
    parameters = {"temperature": 0.1, "max_tokens": 5, "stop": ["END"], "response_format": {"type": "json_object"}}
    explicit = chat(
        sampling=Sampling(temperature=0.7),
        open_sampling=OPEN - {"temperature"},
        max_tokens=9,
        explicit=frozenset({"stop", "response_format"}),
    )

    request, _ = applied(preset(parameters=parameters), explicit)

    assert (request.sampling.temperature, request.max_tokens) == (0.7, 9)
    assert (request.stop, request.response_format) == ((), None)


def test_text_as_a_format_asks_for_nothing() -> None:
    request, _ = applied(preset(parameters={"response_format": {"type": "text"}}), chat())

    assert request.response_format is None


def test_the_system_prompt_comes_first_where_there_is_none() -> None:
    request, _ = applied(preset(system_prompt="Be brief."), chat())

    assert request.messages == [Message(role="system", content="Be brief."), USER]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_message_of_the_request_keeps_the_presets_out(role: Any) -> None:
    own = [USER, Message(role=role, content="mine")]

    request, _ = applied(preset(system_prompt="Be brief."), chat(messages=own))

    assert request.messages == own


def test_the_template_takes_the_place_of_the_models_own() -> None:
    request, _ = applied(preset(chat_template="{{ messages }}"), chat())

    assert request.chat_template == "{{ messages }}"


def test_a_completion_is_told_what_it_cannot_use() -> None:
    completion = GenerationRequest(model="preset:p", prompts=["once"], open_sampling=OPEN)

    request, warnings = applied(
        preset(system_prompt="Be brief.", chat_template="{{ x }}", parameters={"max_tokens": 5}), completion
    )

    assert (request.messages, request.max_tokens, request.chat_template) == (None, 5, None)
    assert [warning.split()[0] for warning in warnings] == ["system_prompt", "chat_template"]
