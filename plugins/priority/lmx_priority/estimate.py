"""How long a request will have to wait, from what was measured."""

from attrs import define, frozen

SMOOTHING = 0.2
"""Weight of the newest request in the running mean of service times."""
TRUSTED_AFTER = 5
"""Requests that must have been measured before anybody is turned away because of an estimate."""
UNMEASURED_SERVICE_S = 1.0
"""What a request is taken to last while none has ended."""
SHORTEST_RETRY_S = 1.0
LONGEST_RETRY_S = 600.0


@define(eq=False)
class ServiceTime:
    """Seconds from admission to the end of a request, as a running mean."""

    mean_s: float | None = None
    measured: int = 0

    def learn(self, service_s: float) -> None:
        """One request has ended; the first ones count alike, so that no single one sets the mean."""
        self.measured += 1
        known_s = service_s if self.mean_s is None else self.mean_s
        self.mean_s = known_s + max(SMOOTHING, 1 / self.measured) * (service_s - known_s)

    def outlook(self, position: int, waiting: int, rows_before: float, limit: int) -> "Outlook":
        """For a request that may start once `rows_before` rows have ended, of which `limit` run at once."""
        return Outlook(position, waiting, self.wait_s(rows_before, limit), trusted=self.measured >= TRUSTED_AFTER)

    def wait_s(self, rows: float, limit: int) -> float:
        """Until so many rows have ended, of which `limit` run at once."""
        service_s = UNMEASURED_SERVICE_S if self.mean_s is None else self.mean_s
        return max(0.0, rows) / limit * service_s


@frozen
class Outlook:
    """What a waiting request can expect."""

    position: int
    """1 is the next one."""
    waiting: int
    wait_s: float
    trusted: bool
    """Enough was measured to act on it."""

    @property
    def retry_after_s(self) -> float:
        """When another try makes sense."""
        return min(LONGEST_RETRY_S, max(SHORTEST_RETRY_S, self.wait_s))
