"""What torch runs on."""

from collections.abc import Mapping
from typing import Any


def device_facts(ranker: Any) -> Mapping[str, Any]:
    """Device and data type of a ranker; Apple's GPUs share the machine's memory, which the process does not show."""
    import torch

    facts: dict[str, Any] = {"device": str(ranker.device), "dtype": str(ranker.dtype).removeprefix("torch.")}
    if facts["device"].startswith("mps"):
        facts["device_bytes"] = torch.mps.driver_allocated_memory()
    return facts


def quiet() -> None:
    """No progress bars in the log."""
    from transformers.utils import logging

    logging.disable_progress_bar()
