import json
from pathlib import Path

import pytest
from mlx_lm.utils import load_tokenizer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from lmx_hookspecs import Message
from lmx_hookspecs.errors import InvalidRequest
from lmx_mlx.tokenizer import MlxTokenizer
from mlx_support import write_tokenizer

TEXTS = [
    "the quick brown fox",
    " leading space",
    "two  spaces and\ttabs\r\nlines\n\n",
    "naïve café — “quotes”",
    "日本語とемодзи 👩‍👩‍👧 🇪🇺",
    "\x00 null \x7f",
    "",
]


def tokenizer_in(folder: Path) -> MlxTokenizer:
    wrapper = load_tokenizer(folder, {"trust_remote_code": False})
    return MlxTokenizer(wrapper=wrapper, vocab_size=512)


def sentencepiece_in(folder: Path) -> MlxTokenizer:
    """A vocabulary as Llama 2 has it: words with U+2581 for the space, and the 256 bytes as `<0x..>`."""
    words = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁the", "the", "▁fox", "é", "a"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return saved(tokenizer, folder)


def word_level_in(folder: Path) -> MlxTokenizer:
    """A vocabulary of whole words, whose decoder says nothing of bytes."""
    words = {"<unk>": 0, "</s>": 1, "hello": 2, "world": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return saved(tokenizer, folder)


def saved(tokenizer: Tokenizer, folder: Path) -> MlxTokenizer:
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer_in(folder)


def streamed(tokenizer: MlxTokenizer, tokens: list[int]) -> list[str]:
    detokenizer = tokenizer.detokenizer()
    return [*(detokenizer.add(token) for token in tokens), detokenizer.finish()]


@pytest.fixture
def tokenizer(tmp_path: Path) -> MlxTokenizer:
    write_tokenizer(tmp_path)
    return tokenizer_in(tmp_path)


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_exactly_streamed_or_whole(tokenizer: MlxTokenizer, text: str) -> None:
    tokens = tokenizer.encode(text)

    assert "".join(streamed(tokenizer, tokens)) == text
    assert tokenizer.decode(tokens) == text
    assert b"".join(tokenizer.token_bytes(token) for token in tokens) == text.encode()


def test_an_incomplete_character_is_held_back_and_a_broken_one_replaced(tokenizer: MlxTokenizer) -> None:
    tokens = tokenizer.encode("👍")
    assert len(tokens) == 4

    assert streamed(tokenizer, tokens) == ["", "", "", "👍", ""]
    assert streamed(tokenizer, tokens[:2]) == ["", "", "\ufffd"]


def test_a_text_that_begins_with_a_space_keeps_it(tokenizer: MlxTokenizer) -> None:
    assert streamed(tokenizer, tokenizer.encode(" the"))[0].startswith(" ")


def test_special_tokens_are_text_and_bytes_too(tokenizer: MlxTokenizer) -> None:
    (end,) = tokenizer.eos_token_ids

    assert tokenizer.decode([end]) == "<|end|>"
    assert tokenizer.token_bytes(end) == b"<|end|>"


def test_rows_of_the_embedding_without_a_token_stand_for_nothing(tokenizer: MlxTokenizer) -> None:
    assert tokenizer.token_bytes(511) == b""
    assert tokenizer.decode([511]) == ""


def test_sentencepiece_bytes_are_exact(tmp_path: Path) -> None:
    tokenizer = sentencepiece_in(tmp_path)
    the, fox, newline = (tokenizer.wrapper.convert_tokens_to_ids(word) for word in ("▁the", "▁fox", "<0x0A>"))
    euro = [tokenizer.wrapper.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in "€".encode()]

    assert tokenizer.token_bytes(newline) == b"\n"
    assert tokenizer.token_bytes(the) == b" the"
    assert streamed(tokenizer, [the, newline, *euro, fox]) == [" the", "\n", "", "", "€", " fox", ""]


def test_other_vocabularies_stream_through_mlx_lm(tmp_path: Path) -> None:
    tokenizer = word_level_in(tmp_path)

    assert "".join(streamed(tokenizer, [2, 3])) == "hello world"
    assert tokenizer.token_bytes(3) == b"world"


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_lone_surrogates_are_refused(tokenizer: MlxTokenizer, text: str) -> None:
    with pytest.raises(InvalidRequest):
        tokenizer.encode(text)
    with pytest.raises(InvalidRequest):
        tokenizer.render([Message(role="user", content=text)], (), {})


def test_a_chat_goes_through_the_models_template(tokenizer: MlxTokenizer) -> None:
    tokens = tokenizer.render([Message(role="user", content="the fox")], (), {})

    assert tokenizer.decode(tokens) == "<|start|>user\nthe fox<|end|><|start|>assistant\n"
    assert tokens[-1] not in tokenizer.eos_token_ids


def test_text_parts_are_joined_and_other_parts_refused(tokenizer: MlxTokenizer) -> None:
    parts = [{"type": "text", "text": "the "}, {"type": "text", "text": "fox"}]

    rendered = tokenizer.decode(tokenizer.render([Message(role="user", content=parts)], (), {}))
    with pytest.raises(InvalidRequest, match="image_url"):
        tokenizer.render([Message(role="user", content=[{"type": "image_url"}])], (), {})

    assert "user\nthe fox<|end|>" in rendered


def test_arguments_of_tool_calls_reach_the_template_as_a_mapping(tokenizer: MlxTokenizer) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"what": "fox"}'}}

    tokens = tokenizer.render([Message(role="assistant", tool_calls=[call])], (), {})

    assert "[what=fox]" in tokenizer.decode(tokens)
    assert call["function"] == {"name": "find", "arguments": '{"what": "fox"}'}


def test_template_arguments_pass_through_and_reserved_ones_do_not(tokenizer: MlxTokenizer) -> None:
    messages = [Message(role="user", content="hi")]

    happy = tokenizer.decode(tokenizer.render(messages, (), {"mood": "happy", "add_generation_prompt": False}))
    with pytest.raises(InvalidRequest) as refused:
        tokenizer.render(messages, (), {"chat_template": "{{ 1 }}"})

    assert happy.endswith("<|end|>(happy)")
    assert refused.value.param == "chat_template_kwargs"


def test_a_template_that_raises_is_a_refusal_in_its_own_words(tokenizer: MlxTokenizer) -> None:
    with pytest.raises(InvalidRequest, match="a tool result needs an id"):
        tokenizer.render([Message(role="tool", content="42")], (), {})


def test_a_preset_s_template_takes_the_place_of_the_model_s(tokenizer: MlxTokenizer) -> None:
    template = "{% for message in messages %}{{ message.content }}!{% endfor %}{{ mood }}"
    messages = [Message(role="user", content="the"), Message(role="user", content="fox")]

    replaced = tokenizer.render(messages, (), {"mood": "happy"}, template)
    own = tokenizer.render(messages, (), {})

    assert tokenizer.decode(replaced) == "the!fox!happy"
    assert tokenizer.decode(own).startswith("<|start|>user\nthe")


@pytest.mark.parametrize("template", ["{% for %}", "{{ raise_exception('never') }}", "{{ messages[7].content }}"])
def test_a_preset_s_template_that_breaks_is_a_refusal_that_says_whose_it_is(
    tokenizer: MlxTokenizer, template: str
) -> None:
    with pytest.raises(InvalidRequest, match="the preset's chat template refuses") as refused:
        tokenizer.render([Message(role="user", content="hi")], (), {}, template)

    assert refused.value.param == "chat_template"


def test_a_preset_s_template_serves_a_model_without_one(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, chat_template=None)
    tokenizer = tokenizer_in(tmp_path)

    tokens = tokenizer.render([Message(role="user", content="fox")], (), {}, "{{ messages[0].content }}")

    assert tokenizer.decode(tokens) == "fox"


def test_a_model_without_a_template_says_where_to_go(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, chat_template=None)
    tokenizer = tokenizer_in(tmp_path)

    with pytest.raises(InvalidRequest, match="/v1/completions"):
        tokenizer.render([Message(role="user", content="hi")], (), {})

    assert not tokenizer.has_chat_template
