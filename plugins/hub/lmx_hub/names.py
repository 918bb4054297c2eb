"""The names that the hub gives to things, checked before they become addresses and paths."""

import re
from typing import NamedTuple

from lmx_hookspecs.errors import InvalidRequest

PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
FORBIDDEN = re.compile(r"--|\.\.|\.git$")
COMMIT = re.compile(r"[0-9a-f]{40}")
CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
QUANTISATION = re.compile(r"[A-Za-z0-9_-]{2,32}")
MAIN = "main"


class Target(NamedTuple):
    """A repository, or one GGUF file of it by its path or its quantisation."""

    repo_id: str
    file: str | None = None
    quantisation: str | None = None


def target_of(name: str) -> Target:
    """`org/name`, `name`, or for one GGUF file `org/name/file.gguf` or `org/name:Q4_K_M`; raises InvalidRequest."""
    whole, colon, quantisation = name.partition(":")
    if colon:
        if not is_repository(whole) or not QUANTISATION.fullmatch(quantisation):
            raise _not_a_name(name)
        return Target(whole, quantisation=quantisation)
    parts = name.split("/")
    file = "/".join(parts[2:]) or None
    if len(parts) > 2 and not (is_path(str(file)) and str(file).endswith(".gguf")):
        raise _not_a_name(name)
    repo_id = "/".join(parts[:2])
    if not is_repository(repo_id):
        raise _not_a_name(name)
    return Target(repo_id, file)


def is_repository(name: str) -> bool:
    """Whether the hub could have a repository of that name."""
    parts = name.split("/")
    return len(parts) <= 2 and all(PART.fullmatch(part) and not FORBIDDEN.search(part) for part in parts)


def check_revision(revision: str) -> str:
    """A branch, tag or commit that can stand in a path; raises InvalidRequest."""
    if not is_path(revision) or len(revision) > 256:
        raise InvalidRequest(f"{revision[:256]!r} is not a branch, tag or commit", param="revision")
    return revision


def is_path(path: str) -> bool:
    """Whether this stays below the folder that it is put into."""
    return path.isprintable() and "\\" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))


def _not_a_name(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name[:256]!r} is not the name of a repository; those look like 'org/name', or 'org/name/file.gguf' or "
        "'org/name:Q4_K_M' for one GGUF file alone",
        param="repo_id",
    )
