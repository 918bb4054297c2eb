"""Guesses which model is asked for next, and may load it ahead."""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field

from lmx.log import logger
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import Logger, ModelState
from lmx_hookspecs.errors import LmxError

HISTORY = 50
LEAST_TRANSITIONS = 2
LEAST_REQUESTS = 3
TOP = 5


@define(eq=False)
class Predictor:
    """Counts what is asked for, and what is asked for after what."""

    _history: deque[str] = field(factory=lambda: deque(maxlen=HISTORY), init=False)
    _requests: Counter[str] = field(factory=Counter, init=False)
    _transitions: dict[str, Counter[str]] = field(factory=dict, init=False)

    def saw(self, model_id: str) -> None:
        """A request names this model, loaded or not."""
        previous = self._history[-1] if self._history else model_id
        if previous != model_id:
            self._transitions.setdefault(previous, Counter())[model_id] += 1
        self._history.append(model_id)
        self._requests[model_id] += 1

    def predict(self, loaded: Collection[str]) -> str | None:
        """What has followed the last model most often, else what is asked for most often; nothing that is loaded."""
        last = self._history[-1] if self._history else ""
        followers = _likeliest(self._transitions.get(last, Counter()), LEAST_TRANSITIONS, loaded)
        return followers or _likeliest(self._requests, LEAST_REQUESTS, loaded)

    def describe(self, loaded: Collection[str]) -> Mapping[str, Any]:
        """The counts, and the guess."""
        return {
            "total_accesses": self._requests.total(),
            "unique_models": len(self._requests),
            "history_size": len(self._history),
            "top_models": [[model_id, count] for model_id, count in self._requests.most_common(TOP)],
            "transition_count": sum(counts.total() for counts in self._transitions.values()),
            "predicted_next": self.predict(loaded),
        }


def _likeliest(counts: Counter[str], least: int, excluded: Collection[str]) -> str | None:
    likely = (model_id for model_id, count in counts.most_common() if count >= least and model_id not in excluded)
    return next(likely, None)


@define(eq=False)
class Preloader:
    """Loads the predicted model while nothing else loads and it fits as it is.

    Neither a load that failed is repeated, nor one that an operator has undone, until somebody else loads the model.
    """

    predictor: Predictor
    models: Lifecycle
    enabled: bool = False
    log: Logger = field(factory=lambda: logger("lmx"))
    _failed: set[str] = field(factory=set, init=False)
    _task: "asyncio.Task[None] | None" = field(default=None, init=False)

    def consider(self) -> None:
        """A request has ended: look for something to load, in the background."""
        self._failed -= {resident.info.id for resident in self.models.loaded() if resident.state is ModelState.READY}
        if self.enabled and (self._task is None or self._task.done()) and not self._loading():
            predicted = self.predictor.predict(self._out_of_the_question())
            if predicted is not None:
                self._task = asyncio.create_task(self._preload(predicted), name=f"preload {predicted}")

    async def close(self) -> None:
        """Stop waiting for what is being loaded."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def describe(self) -> Mapping[str, Any]:
        """What is known of the requests so far."""
        return self.predictor.describe(self._loaded())

    async def _preload(self, model_id: str) -> None:
        try:
            if not self.models.prospects.fits(model_id, await self.models.need_bytes(model_id)):
                return  # a guess is no reason to evict anything
            self.log.info("preloading", model=model_id)
            await self.models.load(model_id)
        except LmxError as error:
            self._failed.add(model_id)
            self.log.warning("preload_failed", model=model_id, reason=error.message)
        except Exception as error:  # nobody waits for it: without this, a bug in a load would be silent
            self._failed.add(model_id)
            self.log.error("preload_failed", model=model_id, exc_info=error)

    def _loading(self) -> bool:
        return any(resident.state is ModelState.LOADING for resident in self.models.loaded())

    def _loaded(self) -> set[str]:
        return {resident.info.id for resident in self.models.loaded()}

    def _out_of_the_question(self) -> set[str]:
        return self._loaded() | self._failed | self.models.put_away
