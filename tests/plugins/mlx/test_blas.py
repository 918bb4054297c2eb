from typing import Any

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
        (16 * MIB, 2, 1, 2),
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


def test_an_engine_takes_more_threads_as_long_as_a_prompt_is_read(tmp_path: Any) -> None:
    engine = engine_of(write_model(tmp_path / "model"))
    library = OpenBlas()
    engine.blas = BlasThreads(library)
    engine.blas.suit(0)
    engine._lanes.blas = engine.blas
    seen: list[tuple[int, int]] = []
    network = engine.model.network

    class Watched:
        def __call__(self, tokens: Any, **rest: Any) -> Any:
            seen.append((tokens.shape[1], library.threads))
            return network(tokens, **rest)

        def __getattr__(self, name: str) -> Any:
            return getattr(network, name)

    batch = engine._lanes.new_batch
    engine._lanes.new_batch = lambda: _watching(batch(), Watched())
    engine.add(1, request_of(prompt_of(40), max_tokens=4))
    while not any(piece.finish_reason for piece in engine.step()):
        pass

    assert seen[0] == (39, 4)
    assert {threads for length, threads in seen if length == 1} == {1}


def _watching(batch: Any, network: Any) -> Any:
    for part in (batch._generator, batch._generator._prompt_batch, batch._generation):
        part.model = network
    return batch
