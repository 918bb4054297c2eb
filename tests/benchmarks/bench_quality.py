"""How well each kind of search answers the questions in `python_docs`, over a real server with what it brings along.

    python tests/benchmarks/bench_quality.py [--encoder FOLDER | --models FOLDER --rerank-model ID]

Needs the extra `rag`. The vectors are those of lmx-tiny-embed. No reranker comes with LMX: `--models` is a folder with
models, of which ID reranks; `--encoder` is a BERT sentence encoder, of which `maxsim.py` makes one. Both need the extra
`rerank` and torch; without them that row is left out. Ends with status 1 where hybrid search, with the default
weights, has a lower nDCG@10 than the better of its legs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from maxsim import made_from

from serving import Server, served

COLLECTION = Path(__file__).parent / "python_docs"
RERANKED = 20
"""Candidates that a reranker reads: an encoder on two cores reads ten documents a second."""
READ_TOKENS = 192
"""Of each."""
MAXSIM = "maxsim"


def measured(server: Server, *words: str) -> Mapping[str, Mapping[str, float]]:
    """What `lmx rag eval` says."""
    files = [str(COLLECTION / name) for name in ("queries.tsv", "qrels.txt")]
    command = [sys.executable, "-m", "lmx", "rag", "eval", *files, "-c", "quality", "--json", "--url", server.url]
    done = subprocess.run([*command, *words], stdout=subprocess.PIPE, check=True, text=True)
    modes: Mapping[str, Mapping[str, float]] = json.loads(done.stdout)["modes"]
    return modes


def all_modes(server: Server, rerank_model: str | None) -> Mapping[str, Mapping[str, float]]:
    """Each leg, both fusions, and the reranker where there is one."""
    modes = [word for mode in ("keyword", "vector", "hybrid") for word in ("--mode", mode)]
    found = dict(measured(server, "--corpus", str(COLLECTION / "corpus.jsonl"), *modes))
    fusion = json.dumps({"fusion": "weighted_sum"})
    found["hybrid, weighted sum"] = measured(server, "--mode", "hybrid", "--options", fusion)["hybrid"]
    if rerank_model:
        found |= measured(server, "--mode", "hybrid+rerank", "--rerank-model", rerank_model)
    return found


def show(rows: Mapping[str, Mapping[str, float]]) -> None:
    """A table."""
    names: Sequence[str] = list(rows["hybrid"])
    print(f"{'':22}" + "".join(f"{name:>12}" for name in names))
    for mode, values in rows.items():
        label = {"keyword": "keyword (BM25)", "hybrid": "hybrid (RRF)"}.get(mode, mode)
        print(f"{label:22}" + "".join(f"{values[name]:>12.4f}" for name in names))


def config_of(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """With the reranker that was asked for."""
    config: dict[str, Any] = {"rag": {"rerank_initial_k": RERANKED}, "models": {"inference_timeout_sec": 600}}
    if args.models:
        config["models"]["directories"] = [str(args.models)]
    if args.encoder:
        path = made_from(args.encoder, folder / MAXSIM)
        entry = {"type": "colbert", "path": str(path), "max_length": READ_TOKENS}
        config["plugins"] = {"rerank": {"models": {MAXSIM: entry}}}
        args.rerank_model = MAXSIM
    return config


def main() -> int:
    """Measure, print, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="a folder with a reranker in it")
    parser.add_argument("--rerank-model", help="its id")
    parser.add_argument("--encoder", type=Path, help="a folder with a BERT encoder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, served(Path(name), config_of(args, Path(name))) as server:
        rows = all_modes(server, args.rerank_model)
    show(rows)
    if not args.rerank_model:
        print("hybrid+rerank is left out: name a reranker with --encoder, or --models and --rerank-model")
    better = max(rows["keyword"]["ndcg@10"], rows["vector"]["ndcg@10"])
    return 0 if rows["hybrid"]["ndcg@10"] >= better else 1


if __name__ == "__main__":
    sys.exit(main())
