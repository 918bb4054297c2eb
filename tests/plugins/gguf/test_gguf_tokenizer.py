"""Vocabulary, streaming of bytes, and chat templates of GGUF files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

from gguf_support import SPECIAL, TINY, engine_of, write_llama
from lmx_gguf.chat_template import ChatTemplates
from lmx_hookspecs import Message
from lmx_hookspecs.errors import InvalidRequest

USER = [Message(role="user", content="hi")]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    engine = engine_of(write_llama(tmp_path_factory.mktemp("models") / "random.gguf"))
    yield engine.tokenizer
    engine.close()


@pytest.mark.parametrize("text", ["Hello", " two  spaces ", "naïve café", "日本語 🎉", "a\x00b", "\n\n", "tab\there"])
def test_texts_come_back_as_they_were(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_characters_come_out_whole(tokenizer: Any) -> None:
    detokenizer = tokenizer.detokenizer()

    parts = [detokenizer.add(token) for token in tokenizer.encode("é🎉!")]

    assert [part for part in parts if part] == ["é", "🎉", "!"]
    assert detokenizer.finish() == ""
    detokenizer.add(tokenizer.encode("🎉")[0])
    assert detokenizer.finish() == "\ufffd"


def test_special_tokens_are_read_and_written(tokenizer: Any) -> None:
    assert tokenizer.encode("<|start|>a<|end|>")[0] == SPECIAL.index("<|start|>")
    assert tokenizer.token_bytes(0) == b"<|end|>"
    assert tokenizer.eos_token_ids == {0}
    assert tokenizer.special_token_ids == {0, 1}
    assert tokenizer.vocab_size == 512


def test_lone_surrogates_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InvalidRequest, match="unicode"):
        tokenizer.encode("\ud800")


def test_bos_is_added_once_where_the_file_wants_it(tmp_path: Path) -> None:
    engine = engine_of(write_llama(tmp_path / "bos.gguf", bos=True))

    assert engine.tokenizer.encode("ab")[0] == 1
    assert engine.tokenizer.encode("<|start|>ab").count(1) == 1
    assert engine.tokenizer.render(USER, (), {}, "{{ bos_token }}x").count(1) == 1
    assert engine.tokenizer.render(USER, (), {}, "x").count(1) == 0
    engine.close()


def test_chats_are_rendered_through_the_template_of_the_file(tokenizer: Any) -> None:
    def text(*messages: Message, tools: Any = (), **arguments: Any) -> str:
        return str(tokenizer.decode(tokenizer.render(messages, tools, arguments)))

    assert text(*USER) == "<|start|>user\nhi<|end|><|start|>assistant\n"
    assert text(*USER, mood="glad", add_generation_prompt=False) == "<|start|>user\nhi<|end|>(glad)"
    said = Message(role="assistant", content="so far")
    assert text(*USER, said, continue_final_message=True).endswith("<|start|>assistant\nso far")
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    assert "[x=1]" in text(*USER, Message(role="assistant", content=None, tool_calls=[call]))
    parts = Message(role="user", content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    assert "user\nab" in text(parts)


def test_arguments_of_earlier_calls_that_are_nested_too_deeply_stay_as_they_are(tokenizer: Any) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "[" * 500_000}}
    called = Message(role="assistant", content=None, tool_calls=[call])

    rendered = tokenizer.render([*USER, called], (), {}, "{{ messages[1].tool_calls[0].function.arguments[:3] }}")

    assert tokenizer.decode(rendered) == "[[["


def test_what_a_template_refuses_is_the_requests_fault(tokenizer: Any) -> None:
    with pytest.raises(InvalidRequest, match="a tool result needs an id"):
        tokenizer.render([Message(role="tool", content="4")], (), {})
    with pytest.raises(InvalidRequest, match="cannot set messages"):
        tokenizer.render(USER, (), {"messages": []})
    with pytest.raises(InvalidRequest, match="image_url"):
        tokenizer.render([Message(role="user", content=[{"type": "image_url"}])], (), {})
    with pytest.raises(InvalidRequest, match="the preset's chat template"):
        tokenizer.render(USER, (), {}, "{% if %}")


TEMPLATES = ChatTemplates(
    default="{{ messages[0].content }}", with_tools="{{ tools | tojson }}", special_tokens={"eos_token": "</s>"}
)


def test_tools_have_a_template_of_their_own_where_the_file_has_one() -> None:
    tools = [{"type": "function", "function": {"name": "<f>"}}]

    assert TEMPLATES.render(USER, (), {}) == "hi"
    assert TEMPLATES.render(USER, tools, {}) == '[{"type": "function", "function": {"name": "<f>"}}]'


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ eos_token }}", "</s>"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "hi"),
        ("{% for x in [1, 2] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}", "1"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ {'ä': 1} | tojson(indent=1) }}", '{\n "ä": 1\n}'),
        ("{{ tools is none }} {{ documents is none }}", "True True"),
    ],
)
def test_templates_find_what_transformers_gives_them(template: str, text: str) -> None:
    assert TEMPLATES.render(USER, (), {}, template) == text


@pytest.mark.parametrize(
    "template",
    ["{{ messages.append(1) }}", "{{ ''.__class__.__mro__ }}", "{% for x in range(10**9) %}{% endfor %}"],
)
def test_templates_stay_in_their_sandbox(template: str) -> None:
    with pytest.raises(InvalidRequest):
        TEMPLATES.render(USER, (), {}, template + "{{ ''.__class__.mro() }}")


def test_a_model_without_a_template_takes_that_of_the_request() -> None:
    bare = ChatTemplates(default=None, with_tools=None, special_tokens={})

    with pytest.raises(InvalidRequest, match="no chat template"):
        bare.render(USER, (), {})
    assert bare.render(USER, (), {}, "x") == "x"


def test_the_built_in_model_reads_chats_like_its_twin_in_safetensors() -> None:
    pytest.importorskip("mlx_lm", reason="the extra mlx is not installed")
    from transformers import AutoTokenizer

    other = AutoTokenizer.from_pretrained(TINY.parents[1] / "lmx-tiny")
    engine = engine_of(TINY)
    for text in ("Hello there", "  x\n\ny", "1234567", "Ünïcödé 日本", "a" * 300, "<|im_start|>user"):
        assert engine.tokenizer.encode(text) == other.encode(text)
    engine.close()
