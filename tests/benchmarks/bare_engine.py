"""The engine alone: `python bare_engine.py MODEL_FOLDER ROWS NEW_TOKENS PROMPT...` prints tokens per second as JSON.

One row runs through `mlx_lm.stream_generate`, several through one `BatchGenerator`; greedy, in the folder's data type.
The first run in the process warms up and is not counted.
"""

import json
import sys
from time import perf_counter
from typing import Any


def single(model: Any, tokenizer: Any, prompt: list[int], new_tokens: int) -> int:
    """Tokens that `stream_generate` made."""
    from mlx_lm import stream_generate

    return sum(1 for _ in stream_generate(model, tokenizer, prompt, max_tokens=new_tokens))


def batch(model: Any, prompts: list[list[int]], new_tokens: int) -> int:
    """Tokens that one BatchGenerator made for all prompts."""
    from mlx_lm.generate import BatchGenerator

    generator = BatchGenerator(model, completion_batch_size=32, prefill_batch_size=8)
    generator.insert(prompts, [new_tokens] * len(prompts))
    made, running = 0, len(prompts)
    while running:
        for response in generator.next_generated():
            made += 1
            running -= response.finish_reason is not None
    return made


def main() -> None:
    """Warm up, measure, print."""
    import mlx_lm

    folder, new_tokens, texts = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    model, tokenizer, *_ = mlx_lm.load(folder)
    prompts = [tokenizer.encode(text) for text in texts]
    for measured in (False, True):
        began = perf_counter()
        if len(prompts) == 1:
            made = single(model, tokenizer, prompts[0], new_tokens)
        else:
            made = batch(model, prompts, new_tokens)
        wall_s = perf_counter() - began
        if measured:
            print(json.dumps({"tokens": made, "wall_s": wall_s, "ttft_s": [], "gaps_s": []}))


if __name__ == "__main__":
    main()
