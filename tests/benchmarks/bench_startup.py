"""How long the commands take that people wait for: listing plugins, and starting the server.

    python tests/benchmarks/bench_startup.py [--rounds 7]

Prints medians of whole processes, the interpreter's own start included.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from serving import served


def plugins_list() -> float:
    """One `lmx plugins list`."""
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "lmx", "plugins", "list"], check=True, capture_output=True)
    return perf_counter() - began


def until_listening() -> float:
    """`lmx serve` until its socket answers."""
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        with served(Path(folder)):
            return perf_counter() - began


def until_ready() -> float:
    """`lmx serve` until the built-in model is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        with served(Path(folder), {"models": {"auto_load": ["lmx-tiny"]}}) as server:
            server.wait_for("model_ready")
            return perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    measures = {
        "lmx plugins list": plugins_list,
        "lmx serve, listening": until_listening,
        "lmx serve, lmx-tiny ready": until_ready,
    }
    for name, measure in measures.items():
        seconds = [measure() for _ in range(rounds)]
        print(f"{name:<28}{statistics.median(seconds):>7.2f} s   (min {min(seconds):.2f}, max {max(seconds):.2f})")


if __name__ == "__main__":
    main()
