"""What a request is told that may not run."""

from lmx_hookspecs import Ticket
from lmx_hookspecs.errors import Busy, TimedOut
from lmx_priority.estimate import Outlook


def full(model: str, outlook: Outlook, max_queue: int) -> Busy:
    """The queue has no place left."""
    if not max_queue:
        why = "and plugins.priority.max_queue is 0, so that nobody may wait"
    else:
        why = f"and the {max_queue} places of its queue are taken; this request would be {_place_in(outlook)}"
    return _busy(f"model {model} is busy, {why}", outlook)


def too_long(model: str, outlook: Outlook, patience_s: float) -> Busy:
    """It would be in vain to wait."""
    return _busy(
        f"model {model} is busy: this request would be {_place_in(outlook)}, and may wait {patience_s:.3g} s", outlook
    )


def made_way(model: str, outlook: Outlook) -> Busy:
    """It was in the queue, which is full."""
    return _busy(
        f"the queue of model {model} is full, and this client has most of it: its request that was "
        f"{_place_in(outlook)} made way for another client's",
        outlook,
    )


def gave_up(model: str, outlook: Outlook, max_wait_s: float) -> Busy:
    """It waited for as long as anybody may."""
    return _busy(
        f"the request waited {max_wait_s:g} s for model {model} and was not reached; it was {_place_in(outlook)}",
        outlook,
    )


def timed_out(ticket: Ticket) -> TimedOut:
    """The deadline has passed."""
    return TimedOut(f"the deadline passed before model {ticket.model} was free; allow more time, or try again later")


def _place_in(outlook: Outlook) -> str:
    return f"number {outlook.position} of {outlook.waiting} that wait, with about {outlook.wait_s:.3g} s to go"


def _busy(message: str, outlook: Outlook) -> Busy:
    retry_s = outlook.retry_after_s
    return Busy(f"{message}; try again in {retry_s:.0f} s", retry_after_s=retry_s)
