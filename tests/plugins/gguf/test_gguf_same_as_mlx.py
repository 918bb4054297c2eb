"""One set of weights, two engines: `lmx-tiny` on MLX and `lmx-tiny-gguf` on llama.cpp say the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")
pytest.importorskip("mlx_lm", reason="the extra mlx is not installed")

from ruamel.yaml import YAML

from gguf_support import TINY, engine_of
from lmx_hookspecs import Message, Sampling, TokenRequest
from step_engine_support import run

FACTS = Path(__file__).parents[3] / "plugins/tiny/training/facts"
PROMPTS = 100
NEW_TOKENS = 40
TOLERANCE = 0.05
"""In log-probability. llama.cpp multiplies in float16 with a float16 KV cache, MLX on the CPU in float32: so far may
two log-probabilities of one token differ, and so near must two tokens be where the engines choose differently."""
ON_MLX = """
import json, sys
from pathlib import Path
from mlx_support import engine_of
from step_engine_support import run
from lmx_hookspecs import Sampling, TokenRequest
prompts, length = json.load(sys.stdin)
engine = engine_of(Path(sys.argv[1]))
greedy = Sampling(temperature=0)
requests = [TokenRequest(tokens=prompt, max_tokens=length, sampling=greedy, logprobs=2) for prompt in prompts]
rows = [row for begin in range(0, len(requests), 20) for row in run(engine, requests[begin : begin + 20])]
told = [[[piece.token, piece.logprob, [value for _, value in piece.top]] for piece in row.pieces] for row in rows]
print(json.dumps(told))
"""


def questions() -> list[str]:
    """As many of those that the model was trained on, over all subjects."""
    facts = [fact for path in sorted(FACTS.glob("*.yaml")) for fact in YAML(typ="safe").load(path.read_text("utf-8"))]
    found = [question for fact in facts for question in fact.get("trained", ())[:2] if isinstance(question, str)]
    return found[:: max(1, len(found) // PROMPTS)][:PROMPTS]


def test_both_engines_choose_the_same_tokens_up_to_ties() -> None:
    engine = engine_of(TINY)
    prompts = [engine.tokenizer.render([Message(role="user", content=text)], (), {}) for text in questions()]
    assert len(prompts) == PROMPTS
    requests = [
        TokenRequest(tokens=prompt, max_tokens=NEW_TOKENS, sampling=Sampling(temperature=0), logprobs=2)
        for prompt in prompts
    ]
    ours = [row for begin in range(0, PROMPTS, 20) for row in run(engine, requests[begin : begin + 20])]
    engine.close()

    theirs = on_mlx(prompts)

    same = [compared(row.pieces, other) for row, other in zip(ours, theirs, strict=True)]
    assert sum(same) >= 95  # the others differ at a tie


def compared(ours: Any, theirs: Any) -> bool:
    """Whether two answers are the same to their end; fails where they differ by more than a tie."""
    for piece, (token, logprob, top) in zip(ours, theirs, strict=False):
        if piece.token != token:
            assert piece.top[0][1] - piece.top[1][1] < TOLERANCE
            assert top[0] - top[1] < TOLERANCE
            return False
        assert abs(piece.logprob - logprob) < TOLERANCE
    assert len(ours) == len(theirs)
    return True


def on_mlx(prompts: list[list[int]]) -> Any:
    """What MLX says, in a process of its own with the environment of its workers."""
    from lmx_mlx.environment import worker_environment

    tests = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ON_MLX, str(TINY.parents[1] / "lmx-tiny")],
        env={**os.environ, **worker_environment(), "PYTHONPATH": str(tests)},
        input=json.dumps([prompts, NEW_TOKENS]),
        capture_output=True,
        text=True,
        check=True,
        timeout=500,
    )
    return json.loads(done.stdout)
