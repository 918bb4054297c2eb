"""What huggingface_hub reads from the environment, read the same way, each time that it matters.

The variables: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
"""

import os
from collections.abc import Mapping
from pathlib import Path

ENDPOINT = "https://huggingface.co"
YES = frozenset({"1", "ON", "YES", "TRUE"})


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Where the cache lies."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return _expanded(environment[name])
    return _home(environment) / "hub"


def endpoint(environment: Mapping[str, str]) -> str:
    """The hub's address, without a slash at its end."""
    return (environment.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def token(environment: Mapping[str, str]) -> str | None:
    """Who asks: the token of the environment, else the one that `hf auth login` left."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if environment.get(name, "").strip():
            return environment[name].strip()
    named = environment.get("HF_TOKEN_PATH")
    path = _expanded(named) if named else _home(environment) / "token"
    if not (path.is_file() and os.access(path, os.R_OK)):
        return None
    return path.read_text("utf-8", "replace").strip() or None


def is_offline(environment: Mapping[str, str]) -> bool:
    """Whether the network is not to be used."""
    return any(environment.get(name, "").upper() in YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def _home(environment: Mapping[str, str]) -> Path:
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(environment.get("HF_HOME") or f"{caches}/huggingface")


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # the home of nobody that this machine knows: there is nothing at such a path
        return Path(path)
