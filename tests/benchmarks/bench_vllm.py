"""Streaming throughput of vllm-mlx behind LMX, and of `vllm-mlx serve --continuous-batching` itself, in one run.

    LMX_VLLM_PYTHON=E/bin/python python tests/benchmarks/bench_vllm.py [--rounds 5] [--clients 1 8]

Both run vllm-mlx from that interpreter, on one random float32 model, with one thread of OpenBLAS. Rounds are
interleaved and have prompts of their own, as in `bench_serving.py`.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench_model import make_model, make_prompt
from bench_serving import NEW_TOKENS, PROMPT_TOKENS, median_rate, ms, rate, run_json, wait_for_port

from lmx_vllm.environment import worker_environment
from serving import served

HERE = Path(__file__).parent
READY_LIMIT_S = 180.0
CONTENDERS = ("lmx", "itself")
Result = dict[str, Any]
Contender = Callable[[Sequence[str]], Result]


def chats(port: int, model: str, prompts: Sequence[str]) -> Result:
    """One streamed chat for each prompt, all at once."""
    bodies = [
        {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": NEW_TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for prompt in prompts
    ]
    asked = {"host": "127.0.0.1", "port": port, "path": "/v1/chat/completions", "bodies": bodies}
    return run_json([sys.executable, str(HERE / "load_client.py")], input=json.dumps(asked))


@contextmanager
def behind_lmx(python: str, folder: Path, work: Path) -> Iterator[Contender]:
    """`lmx serve` with its defaults, and vllm-mlx in a worker for the model."""
    config = {
        "models": {
            "directories": [str(folder.parent)],
            "auto_load": [folder.name],
            "settings": {folder.name: {"backend": "vllm"}},
        },
        "workers": {"interpreters": {"vllm": python}},
    }
    with served(work, config) as server:
        server.wait_for("model_ready", READY_LIMIT_S, model=folder.name)
        yield partial(chats, int(server.url.rsplit(":", 1)[1]), folder.name)


@contextmanager
def by_itself(python: str, folder: Path) -> Iterator[Contender]:
    """`vllm-mlx serve --continuous-batching` with its defaults."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["serve", str(folder), "--continuous-batching", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [str(Path(python).with_name("vllm-mlx")), *words],
        env={**os.environ, **worker_environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(f"http://127.0.0.1:{port}/health", READY_LIMIT_S)
        yield partial(chats, port, str(folder))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def report(measured: Mapping[tuple[str, int], Sequence[Result]], counts: Sequence[int]) -> None:
    """A table, then the ratios."""
    print(f"{'contender':<10}{'clients':>8}{'tokens/s':>10}{'TTFT ms':>9}")
    for (name, count), results in measured.items():
        ttft = statistics.median(value for result in results for value in result["ttft_s"])
        print(f"{name:<10}{count:>8}{median_rate(results):>10.0f}{ms(ttft):>9}")
    for count in counts:
        if all((name, count) in measured for name in CONTENDERS):
            pairs = zip(*(measured[name, count] for name in CONTENDERS), strict=True)
            ratios = [rate(ours) / rate(theirs) for ours, theirs in pairs]
            print(f"lmx / itself at {count}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=os.environ.get("LMX_VLLM_PYTHON"), help="the interpreter with vllm-mlx")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--only", nargs="+", default=CONTENDERS, choices=CONTENDERS)
    arguments = parser.parse_args()
    if not arguments.python:
        parser.error("name an interpreter with vllm-mlx: --python, or LMX_VLLM_PYTHON")
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = make_model(work / "models" / "bench")
        contenders: dict[str, Contender] = {}
        if "lmx" in arguments.only:
            contenders["lmx"] = stack.enter_context(behind_lmx(arguments.python, folder, work))
        if "itself" in arguments.only:
            contenders["itself"] = stack.enter_context(by_itself(arguments.python, folder))
        measured: dict[tuple[str, int], list[Result]] = {}
        for number in range(arguments.rounds + 1):
            for count in arguments.clients:
                prompts = [make_prompt(folder, PROMPT_TOKENS, number * 1000 + count * 50 + row) for row in range(count)]
                for name, contender in contenders.items():
                    result = contender(prompts)
                    if number > 0:  # the first round warms up
                        measured.setdefault((name, count), []).append(result)
        report(measured, arguments.clients)


if __name__ == "__main__":
    main()
