"""What the control groups that a process may not leave give it of the machine: memory, and time on its cores."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from attrs import frozen

MEMBERSHIP, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
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


def control_groups(membership: Path = MEMBERSHIP, root: Path = ROOT) -> Sequence[ControlGroup]:
    """The groups that this process is in, innermost first, of both versions; none but on Linux."""
    return [
        ControlGroup(
            folder=folder,
            limit_file="memory.max" if unified else "memory.limit_in_bytes",
            usage_file="memory.current" if unified else "memory.usage_in_bytes",
            cache_field="inactive_file" if unified else "total_inactive_file",
        )
        for unified, folder in _levels("memory", membership, root)
    ]


def cpu_quotas(membership: Path = MEMBERSHIP, root: Path = ROOT) -> Sequence[float]:
    """How many cores' time each of those groups may use, where it sets a bound."""
    return [quota for unified, folder in _levels("cpu", membership, root) if (quota := _quota(folder, unified=unified))]


def _levels(controller: str, membership: Path, root: Path) -> Iterator[tuple[bool, Path]]:
    """Folders of the groups, and whether each is of version 2, whose one tree holds every controller."""
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        unified = controllers == ""
        if not unified and controller not in controllers.split(","):
            continue
        base = root if unified else root / controller
        # A container may see the host's path, of which only the end, or nothing, is mounted: missing files say nothing.
        parts = [part for part in PurePosixPath(path).parts if part not in {"/", ".."}]
        for depth in range(len(parts), -1, -1):
            yield unified, base.joinpath(*parts[:depth])


def _quota(folder: Path, *, unified: bool) -> float | None:
    if unified:
        allowed, _, period = _text(folder / "cpu.max").partition(" ")  # `max 100000`, or microseconds per period
        return int(allowed) / int(period) if allowed.isdigit() else None
    allowed_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return allowed_us / period_us if allowed_us and period_us and allowed_us > 0 else None


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
