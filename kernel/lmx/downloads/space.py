"""Is there room on the disk? Asked before the first byte, with the sizes that the hub gave."""

import shutil
from pathlib import Path

from lmx_hookspecs import RemoteModel
from lmx_hookspecs.errors import InsufficientStorage

MARGIN = 1.1


def free_bytes(destination: Path) -> int:
    """What is free on the disk of a folder that may not exist yet."""
    existing = next(path for path in (destination, *destination.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


def require_space(remote: RemoteModel, *, free: int, promised: int) -> None:
    """Refuse what does not fit beside the downloads that have been promised their bytes; raises InsufficientStorage."""
    missing = remote.size_bytes - remote.present_bytes
    needed = int(missing * MARGIN)
    if needed <= free - promised:
        return
    others = f", of which downloads in progress will take {_gb(promised)}" if promised else ""
    raise InsufficientStorage(
        f"{remote.repo_id} does not fit on the disk: {_gb(remote.size_bytes)} less {_gb(remote.present_bytes)} that "
        f"are here, and a tenth to spare, make {_gb(needed)}; {_gb(free)} are free at {remote.destination}{others}; "
        "delete a model with `lmx rm`, or keep models on a larger disk",
        param="repo_id",
    )


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
