"""Models that are not loaded because something went wrong: why, and how often."""

from collections.abc import Callable, Collection, Mapping

from attrs import define, field, frozen

from lmx.workers import Deaths
from lmx_hookspecs import ModelState


@frozen
class Setback:
    """How the last attempt to load or run a model ended."""

    state: ModelState
    reason: str


@define(eq=False)
class Setbacks:
    """By model id; a load that works forgets the setback, an unload the deaths as well."""

    new_deaths: Callable[[], Deaths]
    """A fresh count of dead workers for one model."""
    _by_id: dict[str, Setback] = field(factory=dict, init=False)
    _deaths: dict[str, Deaths] = field(factory=dict, init=False)

    def get(self, model_id: str) -> Setback | None:
        """What went wrong with it last."""
        return self._by_id.get(model_id)

    def state(self, model_id: str) -> ModelState:
        """`failed`, `quarantined`, or `on_disk` where nothing is known against it."""
        setback = self._by_id.get(model_id)
        return setback.state if setback else ModelState.ON_DISK

    def failed(self, model_id: str, reason: str, *, worker_died: bool) -> Setback:
        """A load failed; the model is left alone once too many loads have taken their worker down."""
        deaths = self._deaths.setdefault(model_id, self.new_deaths())
        if worker_died:
            deaths.record()
        state = ModelState.QUARANTINED if deaths.too_many else ModelState.FAILED
        return self._keep(model_id, Setback(state, reason))

    def quarantine(self, model_id: str, reason: str) -> Setback:
        """Leave it alone until it is forgiven."""
        return self._keep(model_id, Setback(ModelState.QUARANTINED, reason))

    def quarantined(self) -> Mapping[str, str]:
        """The reasons, by id."""
        quarantined = ModelState.QUARANTINED
        return {key: setback.reason for key, setback in sorted(self._by_id.items()) if setback.state is quarantined}

    def overcome(self, model_id: str) -> None:
        """It is loaded; deaths that are recent still count."""
        self._by_id.pop(model_id, None)

    def forgive(self, model_id: str) -> bool:
        """Start anew; whether there was something to forgive."""
        self._deaths.pop(model_id, None)
        return self._by_id.pop(model_id, None) is not None

    def forget_failures_but_of(self, known: Collection[str]) -> None:
        """Failed models whose files are gone are no models any more."""
        gone = [key for key, setback in self._by_id.items() if setback.state is ModelState.FAILED and key not in known]
        for model_id in gone:
            self.forgive(model_id)

    def _keep(self, model_id: str, setback: Setback) -> Setback:
        self._by_id[model_id] = setback
        return setback
