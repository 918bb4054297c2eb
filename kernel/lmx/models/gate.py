"""Which models must not be loaded at this moment, and why."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from attrs import define, field

from lmx.models.resident import Resident
from lmx.models.setbacks import Setbacks
from lmx_hookspecs import ModelState
from lmx_hookspecs.errors import Conflict, Unavailable

DOWNLOADING_RETRY_S = 30.0
QUARANTINED_RETRY_S = 60.0
"""When to come back for a model in quarantine: an operator has to let it out."""


@define(eq=False)
class Gate:
    """Asked right before a resident is made, and again whenever something was awaited in between."""

    setbacks: Setbacks
    downloading: Callable[[], Collection[str]]
    """Ids of the models on their way here."""
    closed: bool = False
    _deleting: set[str] = field(factory=set, init=False)

    def check(self, model_id: str, others: Collection[str] = ()) -> None:
        """Raises Unavailable; `others` are the models whose files it opens as well."""
        if self.closed:
            raise Unavailable("the server is shutting down", code="model_draining")
        if self.setbacks.state(model_id) is ModelState.QUARANTINED:
            raise Unavailable(
                f"model {model_id!r} is quarantined, the log says why; unload it to try again",
                code="model_quarantined",
                param="model",
                retry_after_s=QUARANTINED_RETRY_S,
            )
        for wanted in (model_id, *others):
            if wanted in self.downloading():
                raise being_downloaded(wanted)
            if wanted in self._deleting:
                raise Unavailable(f"model {wanted!r} is being deleted", code="model_draining", param="model")

    @contextmanager
    def deletion(self, model_id: str, resident: Resident | None, users: Collection[str] = ()) -> Iterator[None]:
        """Keep the model from being loaded while its files go; raises Conflict where somebody uses them.

        `users` are the other models here that opened its files: as their base, or to draft for them.
        """
        if resident is not None:
            raise _in_use(f"model {model_id!r} is {resident.state}; unload it, then delete it")
        if users:
            raise _in_use(f"model {model_id!r} is used by {', '.join(users)}; unload that, then delete it")
        if model_id in self.downloading():
            raise _in_use(f"model {model_id!r} is being downloaded; cancel the download, then delete it")
        if model_id in self._deleting:
            raise _in_use(f"model {model_id!r} is being deleted already")
        self._deleting.add(model_id)
        try:
            yield
        finally:
            self._deleting.discard(model_id)


def being_downloaded(model_id: str) -> Unavailable:
    """Why a model on its way here cannot be asked yet."""
    return Unavailable(
        f"model {model_id!r} is being downloaded; try again once that is done",
        code="model_loading",
        param="model",
        retry_after_s=DOWNLOADING_RETRY_S,
    )


def _in_use(message: str) -> Conflict:
    return Conflict(message, code="model_in_use", param="model_id")
