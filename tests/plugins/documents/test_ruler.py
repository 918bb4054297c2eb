"""Parts of a long text have the tokens that they have by themselves, though most of each is not tokenised again."""

import random
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from document_samples import MARKDOWN, PROSE, PYTHON, counters
from lmx_documents.chunkers import CHUNKERS
from lmx_documents.chunkers.fixed import cut_fixed
from lmx_documents.chunkers.ruler import measured
from lmx_hookspecs import CutOptions, TokenCounter
from lmx_hookspecs.documents import ChunkerSpec
from lmx_hookspecs.testing.chunker import check_cut
from lmx_hookspecs.token_counting import PIECE_CHARS, counter_of

pytest.importorskip("tokenizers")

SAMPLES = (PROSE, MARKDOWN, PYTHON, "word " * 40, " " * 90, "x" * 200, "\t\n", "e\u0301 ", "don't stop. ")
PARTS = 300


def sentencepiece(folder: Path, kind: str) -> TokenCounter:
    """One that puts a mark before each word, or before the text: what it makes of a part depends on where it begins."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer: Any = trainers.UnigramTrainer(
            vocab_size=400, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"], show_progress=False)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator([PROSE, MARKDOWN, PYTHON] * 5, trainer)
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    return counter_of(file)


@define
class Watched:
    """Counts the characters that are tokenised."""

    inner: TokenCounter
    chars: int = field(default=0)

    def count(self, text: str) -> int:
        self.chars += len(text)
        return self.inner.count(text)

    def ends(self, text: str) -> "list[int]":
        self.chars += len(text)
        return [*self.inner.ends(text)]


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level", "unigram", "bpe"])
def test_every_part_counts_what_it_counts_by_itself(tmp_path: Path, kind: str) -> None:
    chance = random.Random(kind)
    counter = counters().get(kind) or sentencepiece(tmp_path, kind)
    text = "".join(chance.choices(SAMPLES, k=900))
    ruler = measured(text, counter)

    for _ in range(PARTS):
        start = chance.randrange(len(text)) if chance.random() < 0.8 else PIECE_CHARS - chance.randrange(4000)
        end = min(len(text), start + chance.randrange(1, 4000))
        assert ruler.count(start, end) == counter.count(text[start:end]), text[start:end]
    assert len(ruler.seams) > 1, "and some of them across a seam"


def test_a_prose_is_tokenised_hardly_more_than_once() -> None:
    watched = Watched(counters()["wordpiece"])
    text = "The quick brown fox jumps over the lazy dog. " * 5000

    cut_fixed(text, watched, CutOptions(size=512, overlap=64))

    assert watched.chars < 1.5 * len(text)


@pytest.mark.parametrize("spec", CHUNKERS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("blank", [" ", "\n", "\u2028", " \n"])
def test_white_space_without_end_makes_no_chunk_without_end(spec: ChunkerSpec, blank: str) -> None:
    text = "alpha" + blank * 20_000 + "beta"

    spans = check_cut(spec, text, counters()["wordpiece"], CutOptions(size=64, overlap=8, language="python"))

    assert {text[span.start : span.end].strip() for span in spans} == {"alpha", "", "beta"}
