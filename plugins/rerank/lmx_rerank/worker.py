"""What the kernel asks before a worker starts, without the libraries that it will import."""

import os
from collections.abc import Mapping

from lmx_hookspecs import MemoryNeed, ModelInfo
from lmx_rerank.config import TORCH_FORMATS

TORCH_BYTES = 300 * 1000 * 1000
"""What torch and transformers take once they are imported: 390 MB with the rest of the process, on Linux."""
WIDENED = frozenset({"float16", "bfloat16"})
"""Types of weights that are twice as wide once they are loaded as float32."""


def memory_need(model: ModelInfo) -> MemoryNeed:
    """Of the weights as float32, and of torch where that runs them."""
    if model.format not in TORCH_FORMATS:
        return MemoryNeed(weight_bytes=model.size_bytes)
    widening = 2 if model.details.get("dtype") in WIDENED else 1
    return MemoryNeed(weight_bytes=model.size_bytes * widening + TORCH_BYTES)


def worker_environment() -> Mapping[str, str]:
    """Nothing is fetched from anywhere, and one core is left to the models that generate."""
    ours = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    if "OMP_NUM_THREADS" in os.environ:
        return ours
    return {**ours, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) - 1))}
