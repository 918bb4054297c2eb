"""Guesses change how fast an answer comes, never what it says."""

from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

from gguf_support import TINY, engine_of, prompt_of, request_of, same_up_to_ties, write_llama
from lmx_gguf.drafting import Held, Ngrams
from lmx_hookspecs import Sampling, TokenRequest
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.testing import check_step_engine
from step_engine_support import run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "target.gguf")


def requests(count: int, bias: float) -> list[TokenRequest]:
    """Prompts that repeat themselves, and with a bias answers of the same few tokens."""
    motifs = [prompt_of(8, seed=number) for number in range(count)]
    return [request_of(motif * 4, max_tokens=48, logprobs=2, logit_bias=dict.fromkeys(motif, bias)) for motif in motifs]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("drafter", ["itself", "another", "prompt"])
def test_greedy_answers_are_the_same_with_guesses(path: Path, tmp_path: Path, drafter: str, rows: int) -> None:
    plain = engine_of(path)
    if drafter == "prompt":
        guessing = engine_of(path, prompt_lookup=True, num_draft_tokens=5)
    else:
        draft = path if drafter == "itself" else write_llama(tmp_path / "draft.gguf", seed=99, layers=1)
        guessing = engine_of(path, draft=draft, num_draft_tokens=3)

    wanted = requests(rows, bias=40.0 if drafter == "prompt" else 0.0)
    expected, found = run(plain, wanted), run(guessing, wanted)

    assert all(same_up_to_ties(one, other, 0.02) for one, other in zip(expected, found, strict=True))
    details = guessing.describe().details["speculative"]
    assert details["drafted"] > 0
    if drafter == "itself":
        assert details["acceptance_rate"] > 0.9
    plain.close()
    guessing.close()


def test_seeded_answers_are_the_same_with_guesses(path: Path) -> None:
    plain, guessing = engine_of(path), engine_of(path, draft=path)
    wanted = [
        request_of(prompt_of(20), max_tokens=40, temperature=0.6, seed=4, presence_penalty=0.5, repetition_penalty=1.1)
    ]

    assert run(guessing, wanted)[0].tokens == run(plain, wanted)[0].tokens
    assert guessing.describe().details["speculative"]["accepted"] > 0
    plain.close()
    guessing.close()


def test_the_prompt_of_a_real_model_is_looked_up() -> None:
    engine = engine_of(TINY, prompt_lookup=True)
    check_step_engine(engine)
    text = "one two three four five six seven eight nine ten. " * 6
    prompt = engine.tokenizer.encode(text)

    result = run(engine, [request_of(prompt, max_tokens=30)])[0]

    assert len(result.tokens) == 30
    assert engine.describe().details["speculative"]["kind"] == "prompt_lookup"
    engine.close()


def test_a_long_prompt_is_read_in_parts_by_the_draft_model(path: Path) -> None:
    engine = engine_of(path, draft=path)

    cold = run(engine, [request_of(prompt_of(900), max_tokens=30)])[0]
    warm = run(engine, [request_of(prompt_of(900), max_tokens=30)])[0]

    assert (len(cold.tokens), warm.tokens, warm.cached_tokens) == (30, cold.tokens, 899)
    assert engine.describe().details["speculative"]["accepted"] > 0
    engine.close()


def test_guesses_stop_at_the_end_of_the_answer(path: Path) -> None:
    engine = engine_of(path, draft=path, num_draft_tokens=8)

    results = [run(engine, [request_of(prompt_of(20), max_tokens=length)])[0] for length in (1, 2, 5)]

    assert [len(result.tokens) for result in results] == [1, 2, 5]
    assert [result.finish_reason for result in results] == ["length"] * 3
    engine.close()


def test_a_draft_model_with_another_vocabulary_is_refused(path: Path) -> None:
    with pytest.raises(EngineFailed, match="another vocabulary"):
        engine_of(path, draft=TINY)


def test_runs_of_tokens_are_found_again() -> None:
    ngrams = Ngrams()

    assert list(ngrams.continuation([1, 2, 3, 4, 5], 3)) == []
    assert list(ngrams.continuation([1, 2, 3, 4, 5, 1, 2, 3], 3)) == [4, 5, 1]
    assert list(ngrams.continuation([1, 2, 3, 4, 5, 1, 2, 3, 9, 4, 5], 1)) == [1]


def test_a_wrong_guess_is_noticed_behind_a_right_one() -> None:
    held = Held(tokens=[1, 2, 7, 4], sure=2)

    assert held.agree([1, 2, 3, 4, 5]) == 2
    assert Held(tokens=[1, 2, 3, 4], sure=1).agree([1, 2, 3, 4]) == 3


def test_the_engine_keeps_the_contract_with_a_draft_model(path: Path) -> None:
    engine = engine_of(path, draft=path)
    check_step_engine(engine)
    engine.add(1, TokenRequest(tokens=prompt_of(10), max_tokens=50, sampling=Sampling()))
    engine.step()
    engine.cancel(1)
    engine.close()
