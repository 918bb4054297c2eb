"""`lmx serve` and `llama_cpp.server` on one GGUF file, shared prefixes, and a long prompt that enters.

    python tests/benchmarks/bench_gguf.py [--rounds 5] [--threads 1] [--only throughput prefix long]

Needs the server of llama-cpp-python: `pip install 'llama-cpp-python[server]'`. A random float16 llama of four million
parameters whose tokens are words; both servers compute with `--threads` threads, and answer greedily. Rounds are
interleaved, each with prompts of its own. `llama_cpp.server` runs with `--interrupt_requests false`, since otherwise a
second request ends the first.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import gguf
import numpy as np
from bench_serving import HERE, NEW_TOKENS, PROMPT_TOKENS, Contender, Result, ms, rate, run_json, wait_for_port

from gguf_support import CONTEXT_LENGTH, EOS, Shape, add_llama_tensors, llama_writer, written
from serving import served

MODEL = "bench.gguf"
SHAPE = Shape(width=256, inner=688, layers=4, heads=8, kv_heads=4, head=32, vocab_size=4096)
SHARED_TOKENS = 2000
LONG_TOKENS = 4000
RUNNING = 8
LONG_ANSWER = 600


def word(token: int) -> str:
    """The text of a token."""
    return f" w{token:04}"


def ids_of(length: int, seed: int) -> list[int]:
    """So many random tokens. Only LMX takes those; to tokenise thousands of these words takes llama.cpp a while."""
    draw = random.Random(seed)
    return [draw.randrange(1, SHAPE.vocab_size) for _ in range(length)]


def prompt_of(length: int, seed: int) -> str:
    """The same as text."""
    return "".join(map(word, ids_of(length, seed)))


def write_model(path: Path) -> Path:
    """The file that both servers open."""
    path.parent.mkdir(parents=True)
    writer = llama_writer(path, SHAPE)
    words = ["<|end|>", *map(word, range(1, SHAPE.vocab_size))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.USER_DEFINED] * (len(words) - 1))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    add_llama_tensors(writer, SHAPE, 7, np.float16)
    return written(writer, path)


def streams(port: int, prompts: Sequence[str | list[int]], lengths: Sequence[int] | None = None) -> Result:
    """One stream for each prompt, all at once."""
    bodies = [
        {"model": MODEL, "prompt": prompt, "max_tokens": length, "temperature": 0, "stream": True}
        for prompt, length in zip(prompts, lengths or [NEW_TOKENS] * len(prompts), strict=True)
    ]
    asked = {"host": "127.0.0.1", "port": port, "path": "/v1/completions", "bodies": bodies}
    return run_json([sys.executable, str(HERE / "load_client.py")], input=json.dumps(asked))


@contextmanager
def lmx_server(model: Path, work: Path, threads: int) -> Iterator[int]:
    """`lmx serve`, by its port."""
    config = {
        "models": {"directories": [str(model.parent)], "auto_load": [MODEL]},
        "plugins": {"gguf": {"threads": threads}},
        "logging": {"level": "WARNING"},
    }
    with served(work, config, environment={"LMX_LOGGING__LEVEL": "INFO"}) as server:
        server.wait_for("model_ready", model=MODEL)
        yield int(server.url.rsplit(":", 1)[1])


@contextmanager
def llama_cpp_server(model: Path, threads: int) -> Iterator[int]:
    """`python -m llama_cpp.server`, by its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", MODEL]
    command += ["--n_ctx", str(CONTEXT_LENGTH), "--n_threads", str(threads), "--n_threads_batch", str(threads)]
    command += ["--interrupt_requests", "false", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        wait_for_port(f"http://127.0.0.1:{port}/v1/models")
        yield port
    finally:
        process.send_signal(signal.SIGKILL)  # it holds on to open connections
        process.wait(20)


def throughput(lmx: int, other: int, rounds: int) -> None:
    """Tokens per second at one and at eight clients, in turns."""
    contenders: dict[str, Contender] = {"lmx": partial(streams, lmx), "llama_cpp.server": partial(streams, other)}
    measured: dict[tuple[str, int], list[Result]] = {}
    for number in range(rounds + 1):
        for count in (1, RUNNING):
            prompts = [prompt_of(PROMPT_TOKENS, number * 1000 + count * 50 + row) for row in range(count)]
            for name, contender in contenders.items():
                result = contender(prompts)
                if number > 0:  # the first round warms up
                    measured.setdefault((name, count), []).append(result)
    print(f"{'contender':<18}{'clients':>8}{'tokens/s':>10}{'TTFT ms':>9}")
    for (name, count), results in measured.items():
        ttft = statistics.median(value for result in results for value in result["ttft_s"])
        print(f"{name:<18}{count:>8}{statistics.median(map(rate, results)):>10.0f}{ms(ttft):>9}")
    for count in (1, RUNNING):
        pairs = zip(measured["lmx", count], measured["llama_cpp.server", count], strict=True)
        ratios = [rate(ours) / rate(theirs) for ours, theirs in pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"lmx / llama_cpp.server at {count}: {statistics.median(ratios):.2f} ({spread})")


def shared_prefix(port: int, rounds: int) -> None:
    """Time to first token of prompts with 2,000 tokens in common, the first of them and a later one."""
    pairs = []
    for number in range(rounds):
        shared = ids_of(SHARED_TOKENS, 5000 + number)
        cold, warm = (
            streams(port, [shared + ids_of(20, 9000 + 10 * number + turn)], [4])["ttft_s"][0] for turn in range(2)
        )
        pairs.append((cold, warm))
    ratio = statistics.median(warm / cold for cold, warm in pairs)
    medians = [statistics.median(values) for values in zip(*pairs, strict=True)]
    print(f"TTFT, {SHARED_TOKENS} tokens in common: cold {ms(medians[0])}, warm {ms(medians[1])} ms: {ratio:.1%}")


def long_prompt(port: int, rounds: int) -> None:
    """Gaps between the tokens of eight streams, undisturbed, and while a prompt of 4,000 tokens enters."""
    quiet: list[float] = []
    disturbed: list[float] = []
    first: list[float] = []
    for number in range(rounds):
        prompts = [ids_of(PROMPT_TOKENS, 20_000 + number * 100 + row) for row in range(RUNNING)]
        quiet += streams(port, prompts, [LONG_ANSWER] * RUNNING)["gaps_s"]
        entering: list[Result] = []
        long = ids_of(LONG_TOKENS, 30_000 + number)
        timer = threading.Timer(0.5, partial(enter, entering, port, long))
        timer.start()
        disturbed += streams(port, [[*prompt, 1] for prompt in prompts], [LONG_ANSWER] * RUNNING)["gaps_s"]
        timer.join()
        first += entering[0]["ttft_s"]
    allowed = max(10 * statistics.median(quiet), 0.05)
    print(f"gaps of {RUNNING} streams: undisturbed p50 {ms(statistics.median(quiet))} p99 {ms(p99(quiet))} ms")
    print(f"with {LONG_TOKENS} tokens entering: p50 {ms(statistics.median(disturbed))} p99 {ms(p99(disturbed))} ms")
    print(f"allowed p99 {ms(allowed)} ms; first token of the long prompt after {ms(statistics.median(first))} ms")


def enter(results: list[Result], port: int, prompt: list[int]) -> None:
    """Ask for two tokens after a prompt."""
    results.append(streams(port, [prompt], [2]))


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[int(0.99 * (len(values) - 1))]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=["throughput", "prefix", "long"])
    options = parser.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = write_model(work / "models" / MODEL)
        lmx = stack.enter_context(lmx_server(model, work, options.threads))
        if "throughput" in options.only:
            throughput(lmx, stack.enter_context(llama_cpp_server(model, options.threads)), options.rounds)
        if "prefix" in options.only:
            shared_prefix(lmx, options.rounds)
        if "long" in options.only:
            long_prompt(lmx, options.rounds)


if __name__ == "__main__":
    main()
