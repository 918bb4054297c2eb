"""Long runs of one kind of characters, which overflow llama.cpp's stack where they are taken apart as a whole."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

from gguf_support import engine_of, write_llama
from lmx_gguf.pieces import LONGEST_RUN, pieces

RUNS = ("a", " ", "-", "\n", "1", "中", "กั", "-,", "-\x1c", "é-")
ENCODE = """
import sys
from pathlib import Path
from gguf_support import engine_of

engine = engine_of(Path(sys.argv[1]))
for run in sys.argv[2:]:
    text = f"<|start|>ab {run * 100_000} cd<|end|>"
    assert engine.tokenizer.decode(engine.tokenizer.encode(text)) == text
engine.close()
"""
"""In a process of its own, which a run that is not cut would end."""


@pytest.mark.parametrize("pre", ["tekken", "gpt-4o", "deepseek-v3"])
def test_runs_of_any_length_become_tokens(tmp_path: Path, pre: str) -> None:
    path = write_llama(tmp_path / "random.gguf", pre=pre)
    support = str(Path(__file__).parents[2])

    ended = subprocess.run(
        [sys.executable, "-c", ENCODE, str(path), *RUNS], env={"PYTHONPATH": support}, capture_output=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, b"")


def test_texts_in_pieces_get_their_special_tokens_once(tmp_path: Path) -> None:
    engine = engine_of(write_llama(tmp_path / "bos.gguf", bos=True, pre="tekken"))

    ids = engine.tokenizer.encode("-" * (3 * LONGEST_RUN))

    assert ids.count(1) == 1
    assert ids[0] == 1
    assert len(ids) == 3 * LONGEST_RUN + 1
    engine.close()


def test_words_are_not_cut_nor_marks() -> None:
    prose = "some words and 5,000 numbers. " * 2_000
    run = "-" * (LONGEST_RUN - 3)

    assert pieces(prose, ["<|end|>"]) == [prose]
    assert pieces(f"{run}<|end|>{run}", ["<|start|>", "<|end|>"]) == [run, f"<|end|>{run[1:]}", "-"]
    assert pieces("9" * (LONGEST_RUN + 1), []) == ["9" * LONGEST_RUN, "9"]
