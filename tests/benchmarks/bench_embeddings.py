"""What the built-in embedding model does in a second: tokenising and arithmetic, by length of the texts.

    python tests/benchmarks/bench_embeddings.py [--texts 2048]

In this process, on one core, without HTTP; texts are drawn from the model's own words.
"""

import argparse
import asyncio
import os
from pathlib import Path
from random import Random
from time import perf_counter

import lmx_tiny
from lmx_hookspecs import EmbeddingRequest, ModelInfo
from lmx_static import lmx_backends

FOLDER = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny-embed"
WORDS = (5, 20, 200, 2000)
ROUNDS = 3


async def best_s(engine: object, request: EmbeddingRequest) -> tuple[float, int]:
    """The shortest of some rounds, and the tokens."""
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        made = await engine.embed(request)  # type: ignore[attr-defined]
        times.append(perf_counter() - began)
    return min(times), made.prompt_tokens


async def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2048)
    texts = parser.parse_args().texts
    (spec,) = lmx_backends()
    os.environ.update(spec.environment())
    engine = spec.load(None, ModelInfo(id="lmx-tiny-embed", format="static-embedding", path=FOLDER))  # type: ignore[arg-type]
    random = Random(1)
    words = [word for word in engine.reader.tokenizer.get_vocab() if word.isalpha() and len(word) > 2]
    print(f"{'words':>6}  {'texts/s':>9}  {'tokens/s':>10}")
    for count in WORDS:
        inputs = [" ".join(random.choices(words, k=count)) for _ in range(min(texts, 400_000 // count))]
        seconds, tokens = await best_s(engine, EmbeddingRequest(model="lmx-tiny-embed", inputs=inputs))
        print(f"{count:>6}  {len(inputs) / seconds:>9,.0f}  {tokens / seconds:>10,.0f}")


if __name__ == "__main__":
    asyncio.run(main())
