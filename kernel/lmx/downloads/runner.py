"""Who runs the transfers."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lmx_hookspecs import JobStatus


class JobRunner(Protocol):
    """What is needed of the jobs service."""

    def start(
        self, name: str, arguments: Mapping[str, Any], *, on_change: Callable[[JobStatus], None] = ...
    ) -> JobStatus:
        """Begin a job, and tell of each progress and of its end."""

    async def cancel(self, job_id: str) -> JobStatus:
        """End it; returns once its process is gone."""
