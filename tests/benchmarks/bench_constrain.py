"""What a constraint costs per token: computing the mask of a row, and applying masks to logits in MLX.

    python tests/benchmarks/bench_constrain.py [--vocabulary 4096] [--rows 8] [--tokens 300]

Texts are drawn at random from the masks themselves, so that every state of the grammar is visited.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import mlx.core as mx
import numpy as np
from attrs import frozen

from lmx_constrain.compiler import GrammarCompiler
from lmx_constrain.vocabulary import vocabulary_of
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import Constraint
from lmx_mlx.masking import MaskProcessor
from schema_corpus import corpus

CONSTRAINTS = {
    "json_object": Constraint(kind="json_object"),
    "json_schema": Constraint(kind="json_schema", source=corpus()[-1]),
    "regex": Constraint(kind="regex", source="[a-z]{3,9}( [a-z]{3,9}){100}"),
}


@frozen
class WideTokenizer(ByteTokenizer):
    """Bytes, and made-up words for the rest of the vocabulary."""

    def token_bytes(self, token: int) -> bytes:
        """A byte, or a word of its own."""
        return (
            super().token_bytes(token) if token < 258 else f"{random.Random(token).choice('abcdefgh')}{token}".encode()
        )


def drawn(mask: Any, tokens: int, ends: frozenset[int]) -> list[float]:
    """Seconds that each token of a random text took its mask."""
    rng, took = random.Random(1), list[float]()
    for _ in range(tokens):
        began = perf_counter()
        bits = mask.allowed()
        took.append(perf_counter() - began)
        allowed = np.flatnonzero(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little"))
        token = int(rng.choice(allowed.tolist()))
        if token in ends:
            break
        began = perf_counter()
        mask.accept(token)
        took[-1] += perf_counter() - began
    return took


def applied(compiled: Any, rows: int, vocabulary: int, rounds: int = 50) -> Sequence[float]:
    """Seconds that one step of masks for all rows takes, logits and all."""
    logits = mx.random.normal((rows, vocabulary))
    mx.eval(logits)
    took = []
    for _ in range(rounds):
        processors = [MaskProcessor(compiled.mask(1000), 1) for _ in range(rows)]
        began = perf_counter()
        masked = [process(mx.array([0]), logits[row : row + 1]) for row, process in enumerate(processors)]
        mx.eval(mx.concatenate(masked))
        took.append(perf_counter() - began)
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=300)
    arguments = parser.parse_args()
    tokenizer = WideTokenizer(vocab_size=arguments.vocabulary)
    began = perf_counter()
    compiler = GrammarCompiler(vocabulary_of(tokenizer))
    print(f"vocabulary of {arguments.vocabulary}: {perf_counter() - began:.2f} s, once a model")
    print(f"{'constraint':<14}{'compile ms':>11}{'mask µs':>9}{'p99 µs':>8}{f'apply {arguments.rows} rows µs':>20}")
    for name, constraint in CONSTRAINTS.items():
        began = perf_counter()
        compiled = compiler.compile(constraint)
        compile_ms = (perf_counter() - began) * 1e3
        took = sorted(drawn(compiled.mask(arguments.tokens), arguments.tokens, tokenizer.eos_token_ids))
        step = statistics.median(applied(compiled, arguments.rows, arguments.vocabulary))
        p99 = took[int(len(took) * 0.99) - 1]
        print(f"{name:<14}{compile_ms:>11.1f}{statistics.median(took) * 1e6:>9.1f}{p99 * 1e6:>8.0f}{step * 1e6:>20.0f}")


if __name__ == "__main__":
    main()
