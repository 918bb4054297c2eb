"""Headers of GGUF files, read without an engine."""

import random
import struct
from pathlib import Path

import pytest

from lmx_hookspecs.gguf import DamagedGguf, read_gguf_header

TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny-gguf/lmx-tiny.gguf"


def test_a_header_tells_what_a_model_is() -> None:
    header = read_gguf_header(TINY)

    assert header.architecture == "llama"
    assert (header.number("context_length"), header.number("block_count"), header.number("missing", 7)) == (8192, 3, 7)
    assert header.numbers("attention.head_count_kv", 3) == [2, 2, 2]
    assert header.values["tokenizer.ggml.tokens"] == 2048  # of a vocabulary, how long it is
    assert "<|im_start|>" in header.values["tokenizer.chat_template"]
    assert 0 < header.last_tensor_begins < TINY.stat().st_size
    assert not header.pools


def test_what_a_model_is_can_be_read_without_its_vocabulary() -> None:
    header = read_gguf_header(TINY, vocabulary=False)

    assert header.number("context_length") == 8192
    assert not any(name.startswith("tokenizer.") for name in header.values)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and more", "no GGUF file"),
        (b"GGUF" + struct.pack("<I", 1), "version 1"),
        (b"GGUF" + struct.pack(">I", 3), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60), "claims to have"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40), "claims to have"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 9), "middle of a string"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"a", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQ", 3, 5, 0), "header ends"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)

    with pytest.raises(DamagedGguf, match=reason):
        read_gguf_header(path)


def test_cut_off_or_garbled_headers_never_raise_anything_else(tmp_path: Path) -> None:
    whole, draw, path = TINY.read_bytes()[:100_000], random.Random(5), tmp_path / "damaged.gguf"
    for _ in range(200):
        damaged = bytearray(whole[: draw.randrange(len(whole))])
        for _ in range(draw.randrange(6) if damaged else 0):
            damaged[draw.randrange(min(400, len(damaged)))] = draw.randrange(256)
        path.write_bytes(damaged)
        with pytest.raises(DamagedGguf):
            read_gguf_header(path)
