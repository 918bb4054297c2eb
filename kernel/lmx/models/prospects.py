"""What loads that are about to begin will take: memory that nobody has set aside yet, and that is spoken for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from attrs import define, field

from lmx.models.ledger import Ledger
from lmx.models.resident import Resident


@define(eq=False)
class Expected:
    """A model that requests were let in for, or told that there is room for."""

    size_bytes: int
    requests: int = 0


@define(eq=False)
class Prospects:
    """The ledger as it will be once all loads that were promised hold their memory.

    Several requests for cold models that come at once would all find the same room, and all but the first would be
    refused for want of memory where waiting was enough.
    """

    ledger: Ledger
    residents: Mapping[str, Resident]
    _expected: dict[str, Expected] = field(factory=dict, init=False)

    def fits(self, model_id: str, size_bytes: int) -> bool:
        """Whether it could be loaded beside all that is expected, with nothing unloaded for it."""
        if not size_bytes:
            return True  # what takes nothing always fits
        return self.ledger.shortage_bytes(size_bytes + self._coming_bytes(but_not=model_id)) == 0

    @contextmanager
    def expecting(self, model_id: str, size_bytes: int) -> Iterator[None]:
        """Its memory is spoken for, until it holds it itself and at most as long as the block goes."""
        expected = self._expected.setdefault(model_id, Expected(size_bytes))
        expected.size_bytes = size_bytes
        expected.requests += 1
        try:
            yield
        finally:
            expected.requests -= 1
            if not expected.requests:
                del self._expected[model_id]

    def _coming_bytes(self, but_not: str) -> int:
        coming = {model_id: expected.size_bytes for model_id, expected in self._expected.items()}
        coming |= {
            model_id: resident.estimate.total_bytes
            for model_id, resident in self.residents.items()
            if resident.estimate is not None  # an operator's load, say
        }
        return sum(size for model_id, size in coming.items() if model_id != but_not and not self._holds(model_id))

    def _holds(self, model_id: str) -> bool:
        """Whether it is in the ledger by now."""
        resident = self.residents.get(model_id)
        return resident is not None and resident.claim is not None
