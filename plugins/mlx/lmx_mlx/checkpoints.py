"""Opens what a model folder holds, without running code that it brings."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lmx_mlx.adapter import get_model_classes, load_model, load_tokenizer


def load(path: Path, *, named_from: str = "") -> tuple[Any, Any, dict[str, Any]]:
    """Model, tokenizer and configuration of a folder; never runs code that the folder brings.

    `named_from` is put before the names of weights that lack it: checkpoints of a decoder without its head do.
    """
    model, config = load_model(path, lazy=True, get_model_classes=partial(_classes, named_from))
    return model, load_tokenizer_of(path, config), config


def load_tokenizer_of(path: Path, config: Mapping[str, Any]) -> Any:
    """The tokenizer of a folder."""
    # Without an explicit False, transformers asks at the terminal.
    return load_tokenizer(path, {"trust_remote_code": False}, eos_token_ids=config.get("eos_token_id"))


def _classes(named_from: str, config: dict[str, Any]) -> tuple[Any, Any]:
    model_class, arguments_class = get_model_classes(config=config)
    if not named_from:
        return model_class, arguments_class

    class Headless(model_class):  # type: ignore[misc, valid-type]  # found at run time
        """The same architecture for a checkpoint that holds the decoder alone."""

        def sanitize(self, weights: dict[str, Any]) -> dict[str, Any]:
            outside = (named_from, "lm_head.")
            named = {k if k.startswith(outside) else named_from + k: array for k, array in weights.items()}
            return dict(super().sanitize(named)) if hasattr(model_class, "sanitize") else named

    return Headless, arguments_class
