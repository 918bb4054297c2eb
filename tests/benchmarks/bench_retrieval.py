"""What retrieval costs over HTTP: running streams during an ingest, texts into chunks, and queries.

    python tests/benchmarks/bench_retrieval.py [--streams 2] [--seconds 10] [--chunks 5000]

A real server with a random model of four million parameters on the MLX engine, and lmx-tiny-embed; needs the extras
`mlx` and `rag`. Rounds with and without a steady ingest take turns, so that what else the machine does falls on both
alike.
"""

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median, quantiles
from time import monotonic, perf_counter

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench_model import make_model

from serving import Server, served

COLLECTION = Path(__file__).parent / "python_docs"
MODEL, PROMPT = "bench", "w1 w2 w3"
ROUNDS = 4
QUERIES = 200
WINDOW = 20
"""Tokens over which a time per token is taken: those that arrive together have none of their own."""
STEADY_PAUSE_S = 0.05
"""Between the documents of a steady ingest."""
SMALL_CHUNKS = {"chunk_size": 128, "chunk_overlap": 16}


def texts() -> list[str]:
    """The documents of the collection."""
    return [json.loads(line)["text"] for line in (COLLECTION / "corpus.jsonl").read_text("utf-8").splitlines()]


def tokens_ms(server: Server, until: float, found: list[float]) -> None:
    """Milliseconds per token of streams, one stream after the other, until then."""
    body = {"model": MODEL, "prompt": PROMPT, "stream": True, "max_tokens": 400, "temperature": 0}
    with server.client(trust_env=False) as client:
        while monotonic() < until:
            with client.stream("POST", "/v1/completions", json=body) as response:
                response.raise_for_status()
                times = [perf_counter() for line in response.iter_lines() if line.startswith("data: {")]
            spans = zip(times, times[WINDOW:], strict=False)
            found.extend((end - start) * 1000 / WINDOW for start, end in spans)


def streamed(server: Server, streams: int, seconds: float) -> list[float]:
    """The same of so many streams at a time."""
    found: list[float] = []
    until = monotonic() + seconds
    threads = [threading.Thread(target=tokens_ms, args=(server, until, found)) for _ in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextmanager
def steady_ingest(server: Server, documents: list[str], counted: list[int]) -> Iterator[None]:
    """One document after the other, with a pause between them; counts chunks."""
    stop = threading.Event()

    def ingest() -> None:
        random = Random(1)
        with server.client(trust_env=False) as client:
            while not stop.wait(STEADY_PAUSE_S):
                body = {"collection": "steady", "documents": [random.choice(documents)], **SMALL_CHUNKS}
                counted.append(client.post("/v1/rag/ingest", json=body).raise_for_status().json()["chunks_created"])

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def streams_and_ingest(server: Server, documents: list[str], streams: int, seconds: float) -> None:
    """Print the medians of rounds with and without an ingest."""
    quiet: list[float] = []
    busy: list[float] = []
    counted: list[int] = []
    for _ in range(ROUNDS):
        quiet += streamed(server, streams, seconds / ROUNDS)
        with steady_ingest(server, documents, counted):
            busy += streamed(server, streams, seconds / ROUNDS)
    before, during = median(quiet), median(busy)
    rate = sum(counted) / seconds
    print(f"{streams} streams, median time per token: {before:.2f} ms alone, {during:.2f} ms during an ingest")
    print(f"of {rate:.0f} chunks/s: {during / before:.2f} times as long (medians of {len(quiet)} and {len(busy)})")


def ingest_rate(server: Server, documents: list[str], chunks: int) -> None:
    """Print how fast texts become chunks that can be found."""
    began, made, tokens = perf_counter(), 0, 0
    with server.client(trust_env=False) as client:
        while made < chunks:
            for start in range(0, len(documents), 50):
                body = {"collection": "fast", "documents": documents[start : start + 50], **SMALL_CHUNKS}
                answer = client.post("/v1/rag/ingest", json=body).raise_for_status().json()
                made += answer["chunks_created"]
                tokens += sum(document["tokens"] for document in answer["documents"])
    seconds = perf_counter() - began
    rates = f"{made / seconds:,.0f} chunks/s, {tokens / seconds:,.0f} tokens/s"
    print(f"ingest of texts, 50 in a request: {rates} ({made} chunks)")


def query_times(server: Server) -> None:
    """Print how long a query takes in each mode, over HTTP and with its embedding."""
    lines = (COLLECTION / "queries.tsv").read_text("utf-8").splitlines()
    with server.client(trust_env=False) as client:
        for mode in ("vector", "keyword", "hybrid"):
            times = [_query_ms(client, lines[number % len(lines)].split("\t")[1], mode) for number in range(QUERIES)]
            print(f"query, {mode}: median {median(times):.1f} ms, 95 % below {quantiles(times, n=20)[-1]:.1f} ms")


def _query_ms(client: httpx.Client, text: str, mode: str) -> float:
    began = perf_counter()
    client.post("/v1/rag/query", json={"collection": "fast", "query": text, "search_mode": mode}).raise_for_status()
    return (perf_counter() - began) * 1000


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server with the model loaded."""
    make_model(folder / "models" / MODEL)
    models = {"directories": [str(folder / "models")], "auto_load": [MODEL]}
    with served(folder, {"models": models, "workers": {"stream_interval_ms": 0}}) as server:
        server.wait_for("model_ready", model=MODEL)
        yield server


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="of streams, in each of the two conditions")
    parser.add_argument("--chunks", type=int, default=5000)
    args = parser.parse_args()
    documents = texts()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as server:
        ingest_rate(server, documents, args.chunks)
        query_times(server)
        streams_and_ingest(server, documents, args.streams, args.seconds)


if __name__ == "__main__":
    main()
