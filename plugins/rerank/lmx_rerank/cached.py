"""Where huggingface_hub's cache, in which `lmx pull` puts what it fetches, has the files of a repository.

https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import re
from collections.abc import Mapping
from pathlib import Path

REVISION = re.compile(r"[0-9a-f]{7,64}")


def repository(name: str, environment: Mapping[str, str]) -> Path:
    """The folder of the repository, whether it is there or not."""
    return _cache(environment) / f"models--{name.replace('/', '--')}"


def snapshot(folder: Path) -> Path | None:
    """The files of its main branch, or None where they are not here."""
    try:
        revision = (folder / "refs" / "main").read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    found = folder / "snapshots" / revision
    return found if REVISION.fullmatch(revision) and found.is_dir() else None


def _cache(environment: Mapping[str, str]) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(name):
            return Path(environment[name]).expanduser()
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(environment.get("HF_HOME") or f"{caches}/huggingface").expanduser() / "hub"
