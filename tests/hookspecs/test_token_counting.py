import json
from pathlib import Path

import pytest

from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.token_counting import PIECE_CHARS, counter_of, pieces

pytest.importorskip("tokenizers")

MODELS = Path(__file__).parents[2] / "plugins" / "tiny" / "lmx_tiny" / "models"
WORDPIECE = MODELS / "lmx-tiny-embed" / "tokenizer.json"
BYTE_LEVEL = MODELS / "lmx-tiny" / "tokenizer.json"


def test_each_token_ends_behind_its_last_character() -> None:
    counter = counter_of(WORDPIECE)

    assert [*counter.ends("Hello  world 日本")] == [5, 12, 14, 15]
    assert counter.count("Hello  world 日本") == 4


def test_the_ends_of_a_character_of_several_tokens_are_the_same() -> None:
    assert [*counter_of(BYTE_LEVEL).ends("x😀y")] == [1, 2, 2, 2, 2, 3]


@pytest.mark.parametrize("path", [WORDPIECE, BYTE_LEVEL])
def test_a_long_text_counts_as_one_encoding_would(path: Path) -> None:
    from tokenizers import Tokenizer

    text = "The quick brown fox, as they say, jumps. Über 13 lazy dogs!\n\n" * 4_000
    whole = Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False)

    counter = counter_of(path)

    assert len(text) > 3 * PIECE_CHARS
    assert counter.count(text) == len(whole)
    assert [*counter.ends(text)] == [end for _, end in whole.offsets]


@pytest.mark.parametrize(
    "text", ["", "a" * 3 * PIECE_CHARS, " " * 3 * PIECE_CHARS, "語 " * PIECE_CHARS, "\n\n" * 99_999]
)
def test_pieces_make_up_the_text(text: str) -> None:
    cut = [*pieces(text)]

    assert "".join(text[start:end] for start, end in cut) == text
    assert all(0 < end - start <= PIECE_CHARS for start, end in cut)


def test_special_tokens_truncation_and_padding_are_left_out(tmp_path: Path) -> None:
    data = json.loads(BYTE_LEVEL.read_bytes())
    data["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    data["padding"] = {
        "strategy": {"Fixed": 512},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    special = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [2040], "tokens": ["<|im_start|>"]}},
    }
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(data), "utf-8")

    assert counter_of(file).count("one two three four") == counter_of(BYTE_LEVEL).count("one two three four")


def test_a_lone_surrogate_is_counted_like_a_strange_character() -> None:
    assert [*counter_of(BYTE_LEVEL).ends("a\ud800b")][-1] == 3


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}", "utf-8")

    with pytest.raises(EngineFailed, match=r"tokenizer\.json is no tokenizer: .+ get the model's files again"):
        counter_of(file)
