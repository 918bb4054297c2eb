"""Whether a worker is alive, from its beats: a state machine without a clock of its own."""

from attrs import define

MAX_MISSED_BEATS = 3


@define(eq=False)
class Pulse:
    """`beat` whenever the worker is heard, `tick` once per interval.

    Silence is counted in ticks, not in seconds: a kernel that was held up itself ticks once, then reads what waits.
    """

    interval_s: float
    step_timeout_s: float
    missed: int = 0
    step_age_s: float = 0.0
    pending: int = 0

    def beat(self, step_age_s: float, pending: int) -> None:
        """The worker beats, and says how old its step is and how many requests it holds."""
        self.missed, self.step_age_s, self.pending = 0, step_age_s, pending

    def heard(self) -> None:
        """The worker sent something else."""
        self.missed = 0

    def tick(self) -> str | None:
        """An interval has passed; the reason to kill the worker, if there is one."""
        self.missed += 1
        if self.missed > MAX_MISSED_BEATS:
            return f"the worker is silent: {MAX_MISSED_BEATS} beats missed, {self.interval_s:g} s apart"
        if self.pending and self.step_age_s > self.step_timeout_s:
            return (
                f"the worker is wedged: its step is {self.step_age_s:.1f} s old, "
                f"workers.step_timeout_sec allows {self.step_timeout_s:g}"
            )
        return None
