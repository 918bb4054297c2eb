"""What the kernel must know before a worker starts; nothing of vllm-mlx is imported here."""

import sys
from collections.abc import Mapping

from lmx_hookspecs.openblas import preloaded_openblas


def worker_environment() -> Mapping[str, str]:
    """No look at a hub, whatever the model folder lacks; on Linux OpenBLAS, which a build for GPUs leaves unused."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**offline, **(preloaded_openblas() if sys.platform == "linux" else {})}
