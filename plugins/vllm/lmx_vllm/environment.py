"""What the kernel must know before a worker starts; nothing of vllm-mlx is imported here."""

import sys
from collections.abc import Mapping

from lmx_hookspecs.preloads import mlx_cpu_environment


def worker_environment() -> Mapping[str, str]:
    """No look at a hub, whatever the model folder lacks; on Linux jemalloc, and OpenBLAS for a build for the CPU."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**offline, **(mlx_cpu_environment() if sys.platform == "linux" else {})}
