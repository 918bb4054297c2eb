"""When a request has used up its time."""

from time import monotonic

from attrs import frozen

from lmx_hookspecs.errors import TimedOut


@frozen
class Deadline:
    """The end of a request's time."""

    limit_s: float
    at_s: float
    """On the clock of `time.monotonic`."""
    from_client: bool = False
    """The client allows less than the server would: when it passes, nobody but the client has given up."""

    @classmethod
    def of(cls, asked_s: float | None, most_s: float) -> "Deadline":
        """Of a request that begins now; it gets what it asks for, and no more than `most_s`."""
        limit_s = most_s if asked_s is None else min(asked_s, most_s)
        return cls(limit_s, monotonic() + limit_s, from_client=limit_s < most_s)

    def left_s(self) -> float:
        """Seconds until then; never negative."""
        return max(0.0, self.at_s - monotonic())

    def passed(self) -> TimedOut:
        """The error of a request that has run into it."""
        return TimedOut(
            f"the request took longer than its time limit ({self.limit_s:.0f} s); "
            "ask for fewer tokens, or raise X-Timeout or models.inference_timeout_sec"
        )
