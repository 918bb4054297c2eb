from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from attrs import define

from lmx_mlx.blas import MIB, BlasThreads
from mlx_support import engine_of, prompt_of, request_of, write_model


@define
class OpenBlas:
    """What OpenBLAS does with these two calls."""

    threads: int = 8

    def openblas_get_num_threads(self) -> int:
        return self.threads

    def openblas_set_num_threads(self, threads: int) -> None:
        self.threads = threads


@pytest.mark.parametrize(
    ("weight_bytes", "available", "steps", "prompts"),
    [
        (16 * MIB, 16, 1, 4),
        (16 * MIB, 4, 1, 2),
        (16 * MIB, 2, 1, 1),
        (79 * MIB, 16, 8, 8),
        (79 * MIB, 2, 2, 2),
        (256 * MIB, 16, 16, 16),
    ],
)
def test_threads_suit_the_size_of_the_model(weight_bytes: int, available: int, steps: int, prompts: int) -> None:
    library = OpenBlas(available)
    blas = BlasThreads(library)
    blas.suit(weight_bytes)
    assert library.threads == steps

    with blas.used(for_prompts=True):
        assert library.threads == prompts
    assert library.threads == steps
    with blas.used(for_prompts=False):
        assert library.threads == steps


def test_the_usual_number_comes_back_after_a_failure() -> None:
    library = OpenBlas()
    blas = BlasThreads(library)
    blas.suit(0)

    with pytest.raises(ValueError, match="damaged"), blas.used(for_prompts=True):
        raise ValueError("damaged")

    assert library.threads == 1


@pytest.mark.parametrize("library", [object(), OpenBlas(threads=1)])
def test_without_openblas_or_with_one_thread_there_is_nothing_to_set(library: Any) -> None:
    blas = BlasThreads(library)
    blas.suit(0)

    with blas.used(for_prompts=True):
        assert getattr(library, "threads", 1) == 1


def test_a_model_that_only_reads_uses_the_threads_of_prompts() -> None:
    library = OpenBlas()
    BlasThreads(library).suit(16 * MIB, draws=False)

    assert library.threads == 4


def test_an_engine_reads_prompts_with_their_threads_and_decodes_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, library = engine_of(write_model(tmp_path / "model")), OpenBlas()
    engine._lanes.blas = BlasThreads(library)
    engine._lanes.blas.suit(0)
    while_evaluating: list[int] = []
    evaluate = mx.eval

    def watched(*arrays: object) -> None:
        while_evaluating.append(library.threads)
        evaluate(*arrays)

    monkeypatch.setattr(mx, "eval", watched)
    engine.add(1, request_of(prompt_of(40), max_tokens=4))

    engine.step()
    assert set(while_evaluating) == {4}
    while_evaluating.clear()
    while not any(piece.finish_reason for piece in engine.step()):
        pass
    assert while_evaluating[-1] == 1
    assert library.threads == 1
