"""Takes models out of a folder, never what is not theirs, and counts what that really freed."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import mkdtemp

from lmx_hookspecs.errors import Conflict
from lmx_hookspecs.model_files import SPLIT

TRASH = ".deleted.lmx-"
"""How the names of hidden folders begin that are on their way out."""
WEIGHTS = frozenset({".gguf", ".safetensors"})


def delete_folder(folder: Path, root: Path) -> int:
    """A folder model, all of it; returns the bytes freed. Raises Conflict where weights of other models are in it."""
    others = sorted(path.relative_to(folder).as_posix() for path in _files(folder) if _is_foreign(path, folder))
    if others:
        raise Conflict(f"{folder} also holds {', '.join(others[:3])}; delete that model first, or the folder by hand")
    for left in root.glob(f"{TRASH}*"):  # by a deletion that was cut short
        shutil.rmtree(left, ignore_errors=True)
    freed_bytes = _freed_bytes(_files(folder))
    trash = Path(mkdtemp(prefix=TRASH, dir=root))
    # Renamed first: half a deletion must not look like a model.
    shutil.rmtree(folder.rename(trash / folder.name))
    trash.rmdir()
    return freed_bytes


def delete_gguf(file: Path) -> int:
    """A GGUF model, with all files that it is split into, and nothing else; returns the bytes freed."""
    files = [path for path in file.parent.iterdir() if _same_model(path.name, file.name)]
    freed_bytes = _freed_bytes(files)
    for path in files:
        path.unlink()
    return freed_bytes


def _files(folder: Path) -> Sequence[Path]:
    """The files in it, at any depth; links to folders are not followed. Raises OSError for a folder it cannot read."""
    return [Path(path, name) for path, _, files in os.walk(folder, onerror=_give_up) for name in files]


def _give_up(error: OSError) -> None:
    raise error


def _is_foreign(path: Path, folder: Path) -> bool:
    """Weights in a folder of their own, or a model in one file."""
    return path.suffix in WEIGHTS and (path.parent != folder or path.suffix == ".gguf")


def _same_model(name: str, other: str) -> bool:
    one, two = SPLIT.fullmatch(name), SPLIT.fullmatch(other)
    if one is None or two is None:
        return name == other
    return (one["stem"], one["parts"], one["suffix"]) == (two["stem"], two["parts"], two["suffix"])


def _freed_bytes(files: Iterable[Path]) -> int:
    """Links take nothing; a file with several names is freed with the last of them."""
    found: dict[tuple[int, int], list[os.stat_result]] = defaultdict(list)
    for path in files:
        if not path.is_symlink():
            fact = path.lstat()
            found[fact.st_dev, fact.st_ino].append(fact)
    return sum(facts[0].st_size for facts in found.values() if len(facts) >= facts[0].st_nlink)
