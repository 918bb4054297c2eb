"""Streaming throughput and latency: the bare engine, `lmx serve` and `mlx_lm.server` on one model, in one run.

    python tests/benchmarks/bench_serving.py [--rounds 5] [--clients 1 8 16] [--only lmx bare] [--alike]

Prints medians over rounds and the ratios that the project promises. Rounds are interleaved, so that a machine whose
speed drifts slows all of them alike, and each has prompts of its own, so that nobody answers out of a prompt cache.
OpenBLAS is preloaded for all, with the thread count that suits each best. What else LMX finds for its workers on this
machine, jemalloc and the right kernels of OpenBLAS, the others get with `--alike`.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench_model import make_model, make_prompt

from lmx_hookspecs.preloads import find_openblas, mlx_cpu_environment
from serving import served

HERE = Path(__file__).parent
PROMPT_TOKENS, NEW_TOKENS = 31, 128
WORKER_TTFT = re.compile(r'lmx_prefill_seconds_(sum|count)\{model="[^"]*"\} (\S+)')
Result = dict[str, Any]
Contender = Callable[[Sequence[str]], Result]
"""Answers all of these prompts at once."""


def preloaded(threads: int, *, alike: bool = False) -> Mapping[str, str]:
    """This environment with OpenBLAS preloaded, where there is one, or all that LMX gives its workers."""
    if alike:
        return {**os.environ, **mlx_cpu_environment(blas_threads=threads)}
    library = find_openblas()
    return {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), **({"LD_PRELOAD": str(library)} if library else {})}


def run_json(command: Sequence[str], **options: Any) -> Result:
    """The JSON that a program prints; its error output is shown where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{command[1]} failed:\n{done.stderr[-2000:]}")
    result: Result = json.loads(done.stdout)
    return result


def bare(folder: Path, environment: Mapping[str, str], prompts: Sequence[str]) -> Result:
    """The engine alone, in a process of its own."""
    command = [sys.executable, str(HERE / "bare_engine.py"), str(folder), str(NEW_TOKENS), *prompts]
    return run_json(command, env=environment)


def streams(port: int, model: str, prompts: Sequence[str]) -> Result:
    """One stream for each prompt, all at once, against a server."""
    bodies = [
        {
            "model": model,
            "prompt": prompt,
            "max_tokens": NEW_TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for prompt in prompts
    ]
    asked = {"host": "127.0.0.1", "port": port, "path": "/v1/completions", "bodies": bodies}
    return run_json([sys.executable, str(HERE / "load_client.py")], input=json.dumps(asked))


def lmx_streams(url: str, port: int, model: str, prompts: Sequence[str]) -> Result:
    """The same against LMX, with the worker's own mean time to first token."""
    before = worker_ttft(url)
    result = streams(port, model, prompts)
    after = worker_ttft(url)
    result["worker_ttft_s"] = (after["sum"] - before["sum"]) / (after["count"] - before["count"])
    return result


def worker_ttft(url: str) -> dict[str, float]:
    """Sum and count of the worker's times to first token so far."""
    with urlopen(f"{url}/metrics") as page:
        found = WORKER_TTFT.findall(page.read().decode())
    return {"sum": 0.0, "count": 0.0, **{kind: float(value) for kind, value in found}}


@contextmanager
def lmx_server(folder: Path, work: Path) -> Iterator[Contender]:
    """`lmx serve` with its defaults."""
    config = {
        "models": {"directories": [str(folder.parent)], "auto_load": [folder.name]},
        "logging": {"level": "WARNING"},
    }
    with served(work, config, environment={"LMX_LOGGING__LEVEL": "INFO"}) as server:
        server.wait_for("model_ready", model=folder.name)
        port = int(server.url.rsplit(":", 1)[1])
        yield partial(lmx_streams, server.url, port, folder.name)


@contextmanager
def mlx_lm_server(folder: Path, environment: Mapping[str, str]) -> Iterator[Contender]:
    """`mlx_lm.server` with its defaults."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlx_lm", "server", "--model", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(f"http://127.0.0.1:{port}/health")
        yield partial(streams, port, str(folder))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_for_port(url: str, timeout_s: float = 60.0) -> None:
    """Until the server answers."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            urlopen(url, timeout=2).close()
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def rate(result: Result) -> float:
    """Tokens per second over all clients."""
    return float(result["tokens"] / result["wall_s"])


def report(measured: Mapping[tuple[str, int], Sequence[Result]], counts: Sequence[int]) -> None:
    """A table, then the promised ratios."""
    print(f"{'contender':<14}{'clients':>8}{'tokens/s':>10}{'TTFT ms':>9}{'p50 gap':>9}{'p99 gap':>9}")
    for (name, count), results in measured.items():
        ttft = [value for result in results for value in result["ttft_s"]]
        gaps = sorted(gap for result in results for gap in result["gaps_s"])
        cells = [ms(statistics.median(ttft)) if ttft else "-"]
        cells += [ms(gaps[len(gaps) // 2]), ms(gaps[int(len(gaps) * 0.99)])] if gaps else ["-", "-"]
        print(f"{name:<14}{count:>8}{median_rate(results):>10.0f}{''.join(f'{cell:>9}' for cell in cells)}")
    print()
    for count in counts:
        for other in ("bare", "mlx_lm"):
            if (other, count) in measured and ("lmx", count) in measured:
                ratios = [
                    rate(ours) / rate(theirs)
                    for ours, theirs in zip(measured["lmx", count], measured[other, count], strict=True)
                ]
                print(f"lmx / {other} at {count}: {statistics.median(ratios):.2f}")
    if ("lmx", 1) in measured:
        extra = [result["ttft_s"][0] - result["worker_ttft_s"] for result in measured["lmx", 1]]
        print(f"client TTFT - worker TTFT at 1: {ms(statistics.median(extra))} ms")


def median_rate(results: Sequence[Result]) -> float:
    """The median over rounds."""
    return statistics.median(rate(result) for result in results)


def ms(seconds: float) -> str:
    """Milliseconds with two decimals."""
    return f"{seconds * 1e3:.2f}"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--only", nargs="+", default=["bare", "lmx", "mlx_lm"])
    parser.add_argument("--bare-threads", type=int, default=1, help="OPENBLAS_NUM_THREADS of the bare engine")
    parser.add_argument("--alike", action="store_true", help="the others get the environment of LMX's workers")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = make_model(work / "models" / "bench")
        contenders: dict[str, Contender] = {}
        if "bare" in arguments.only:
            contenders["bare"] = partial(bare, folder, preloaded(arguments.bare_threads, alike=arguments.alike))
        if "lmx" in arguments.only:
            contenders["lmx"] = stack.enter_context(lmx_server(folder, work))
        if "mlx_lm" in arguments.only:
            contenders["mlx_lm"] = stack.enter_context(mlx_lm_server(folder, preloaded(2, alike=arguments.alike)))
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
