"""What the control groups that a process may not leave give it of the machine's memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from attrs import frozen

UNLIMITED_BYTES = 2**62
"""Version 1 has a number for no limit: 2^63, less up to 64 KiB."""


@frozen(kw_only=True)
class ControlGroup:
    """One level of the memory controller's tree on Linux."""

    folder: Path
    limit_file: str
    usage_file: str
    cache_field: str
    """The line of `memory.stat` with the file cache that is given up first."""

    def limit_bytes(self) -> int | None:
        """None where it sets no limit."""
        limit = _number(self.folder / self.limit_file)
        return None if limit is None or limit >= UNLIMITED_BYTES else limit

    def available_bytes(self) -> int | None:
        """What is left below its limit, with the cache that would make way; None where it sets none."""
        limit, used = self.limit_bytes(), _number(self.folder / self.usage_file)
        if limit is None or used is None:
            return None
        return max(0, limit - used + self._cache_bytes())

    def used_percent(self) -> float:
        """In use besides that cache, of its limit; 0 where it sets none."""
        limit, used = self.limit_bytes(), _number(self.folder / self.usage_file)
        if not limit or used is None:
            return 0.0
        return 100.0 * max(0, used - self._cache_bytes()) / limit

    def _cache_bytes(self) -> int:
        fields = (line.split() for line in _text(self.folder / "memory.stat").splitlines())
        return next((int(pair[1]) for pair in fields if len(pair) == 2 and pair[0] == self.cache_field), 0)


def control_groups(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Sequence[ControlGroup]:
    """The groups that this process is in, innermost first, of both versions; none but on Linux."""
    return [group for line in _text(membership).splitlines() for group in _levels(line, root)]


def _levels(line: str, root: Path) -> Iterator[ControlGroup]:
    _, controllers, path = line.split(":", 2)
    if controllers == "":
        base, files = root, ("memory.max", "memory.current", "inactive_file")
    elif "memory" in controllers.split(","):
        base, files = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    else:
        return
    # A container may see the host's path, of which only the end, or nothing, is mounted: missing files say nothing.
    parts = [part for part in PurePosixPath(path).parts if part not in {"/", ".."}]
    for depth in range(len(parts), -1, -1):
        yield ControlGroup(
            folder=base.joinpath(*parts[:depth]), limit_file=files[0], usage_file=files[1], cache_field=files[2]
        )


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None  # there is no such file, or it says `max`


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
