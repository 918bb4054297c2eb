"""What every long-lived object of the server says of itself."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmx import wiring

if TYPE_CHECKING:
    from lmx.kernel import Kernel


def description_of(kernel: "Kernel") -> Mapping[str, Any]:
    """Plain facts for operators: `/admin/stack`."""
    return {
        "scheduler": kernel.scheduler.describe(),
        "guards": [guard.describe() for guard in kernel.guards],
        "middlewares": wiring.described(kernel.middlewares),
        "surfaces": wiring.described(kernel.surfaces),
        "model_sources": wiring.described(kernel.models.catalogue.sources),
        "events": kernel.events.describe(),
        "jobs": kernel.jobs.describe(),
        "downloads": kernel.downloads.describe(),
        "retrieval": kernel.retrieval.describe(),
        "predictor": kernel.preloader.describe(),
        "state": kernel.state.describe(),
        "models": wiring.described_models(kernel.models.loaded()),
        "uptime_seconds": round(kernel.uptime_s, 1),
    }
