"""The MLX engine alone against what it is made of: `python tests/benchmarks/bench_mlx_engine.py [rounds]`.

A random float32 model of four million parameters, 31-token prompts, 128 tokens, greedy. Everything is measured in
turns in one process, and the medians are reported. The last rows are the time between two tokens of eight running
rows, undisturbed and from the moment a 4,000-token prompt enters until its first token.
"""

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

PROMPT_TOKENS = 31
NEW_TOKENS = 128
LONG_PROMPT_TOKENS = 4000
VOCAB_SIZE = 4096
RUNNING = 8
SHAPE = {
    "model_type": "llama",
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "intermediate_size": 688,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCAB_SIZE,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # mlx_support
    with_preloads()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        engine = engine_in(Path(folder))
        print(f"OPENBLAS_NUM_THREADS={os.environ.get('OPENBLAS_NUM_THREADS', 'unset')}, medians of {rounds} rounds\n")
        print_speeds(engine, rounds)
        print_gaps(engine, rounds)


def with_preloads() -> None:
    """Start over with what a worker would get in its environment, once."""
    from lmx_mlx.environment import worker_environment

    environment = {**os.environ, **worker_environment()}
    if environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606  this very program


def engine_in(folder: Path) -> Any:
    """An engine on a random model."""
    from mlx_support import engine_of, write_model

    return engine_of(write_model(folder / "random-llama", shape=SHAPE))


def print_speeds(engine: Any, rounds: int) -> None:
    """Tokens per second of the engine beside what it is made of, the two measured one after the other."""
    network, wrapper = engine.model.network, engine.tokenizer.wrapper
    print("                              bare     engine   engine / bare (median of pairs)")
    print_pair("stream_generate,  1 row ", partial(stream_generate, network, wrapper), partial(ours, engine, 1), rounds)
    for rows in (1, 8, 16):
        print_pair(f"BatchGenerator,  {rows:2} rows", partial(bare, network, rows), partial(ours, engine, rows), rounds)


def print_pair(name: str, bare: Callable[[], int], ours: Callable[[], int], rounds: int) -> None:
    """One line of the table."""
    bare(), ours()
    pairs = [(speed_of(bare), speed_of(ours)) for _ in range(rounds)]
    medians = [statistics.median(values) for values in zip(*pairs, strict=True)]
    ratio = statistics.median(our / their for their, our in pairs)
    print(f"{name:24} {medians[0]:9.0f}  {medians[1]:9.0f}   {ratio:.3f}")


def speed_of(generate: Callable[[], int]) -> float:
    """Tokens per second of one run."""
    began = time.perf_counter()
    return generate() / (time.perf_counter() - began)


def stream_generate(network: Any, wrapper: Any) -> int:
    """One row through mlx-lm's single-row loop."""
    from mlx_lm.generate import stream_generate as generate

    return sum(1 for _ in generate(network, wrapper, prompt_of(0), max_tokens=NEW_TOKENS))


def bare(network: Any, rows: int) -> int:
    """Rows through mlx-lm's batch, and nothing around it."""
    from mlx_lm.generate import BatchGenerator

    generator = BatchGenerator(network)
    generator.insert([prompt_of(row) for row in range(rows)], [NEW_TOKENS] * rows)
    tokens = 0
    while tokens < rows * NEW_TOKENS:
        tokens += len(generator.next()[1])
    return tokens


def ours(engine: Any, rows: int) -> int:
    """Rows through the engine."""
    for row in range(rows):
        engine.add(row, request_of(prompt_of(row), NEW_TOKENS))
    tokens, running = 0, rows
    while running:
        for piece in engine.step():
            tokens += 1
            running -= piece.finish_reason is not None
    return tokens


def print_gaps(engine: Any, rounds: int) -> None:
    """Time between two tokens of running rows, and how long the long prompt takes to its first token."""
    undisturbed: list[float] = []
    disturbed: list[float] = []
    first_token_s: list[float] = []
    for number in range(rounds):
        for row in range(RUNNING):
            engine.add(row, request_of(prompt_of(row), 4000))
        gaps(engine, lambda pieces: len(pieces) >= 20 * RUNNING)
        undisturbed += gaps(engine, lambda pieces: len(pieces) >= 100 * RUNNING)
        engine.add(RUNNING, request_of(prompt_of(100 + number, LONG_PROMPT_TOKENS), 2))
        began = time.perf_counter()
        disturbed += gaps(engine, lambda pieces: pieces[-1].id == RUNNING)
        first_token_s.append(time.perf_counter() - began)
        for row in range(RUNNING + 1):
            engine.cancel(row)
    print(f"\nms between tokens of {RUNNING} rows     p50      p99      max")
    print(f"undisturbed              {as_milliseconds(undisturbed)}")
    print(f"4,000-token prompt in    {as_milliseconds(disturbed)}")
    allowed_ms = max(10 * 1000 * statistics.median(undisturbed), 50.0)
    print(f"p99 allowed {allowed_ms:.1f} ms; the long prompt's first token came after {max(first_token_s):.2f} s")


def gaps(engine: Any, done: Callable[[Sequence[Any]], bool]) -> list[float]:
    """Step until `done`; the seconds between two pieces of each running row."""
    pieces: list[Any] = []
    last: dict[int, float] = {}
    found: list[float] = []
    while not (pieces and done(pieces)):
        stepped = engine.step()
        now = time.perf_counter()
        for piece in stepped:
            if piece.id in last and piece.id < RUNNING:
                found.append(now - last[piece.id])
            last[piece.id] = now
        pieces.extend(stepped)
    return found


def as_milliseconds(seconds: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(1000 * value for value in seconds)
    return f"{statistics.median(ordered):10.1f} {ordered[int(0.99 * (len(ordered) - 1))]:8.1f} {ordered[-1]:8.1f}"


def prompt_of(seed: int, length: int = PROMPT_TOKENS) -> list[int]:
    """Random ids."""
    draw = random.Random(seed)
    return [draw.randrange(2, VOCAB_SIZE) for _ in range(length)]


def request_of(prompt: Sequence[int], max_tokens: int) -> Any:
    """A greedy row."""
    from lmx_hookspecs import Sampling, TokenRequest

    return TokenRequest(tokens=prompt, max_tokens=max_tokens, sampling=Sampling(temperature=0.0))


if __name__ == "__main__":
    main()
