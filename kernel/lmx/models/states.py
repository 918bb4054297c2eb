"""The states of a model, and which of them may follow which."""

from collections.abc import Mapping

from lmx_hookspecs import ModelInfo, ModelState

TRANSITIONS: Mapping[ModelState, frozenset[ModelState]] = {
    ModelState.ON_DISK: frozenset({ModelState.LOADING, ModelState.QUARANTINED}),
    ModelState.LOADING: frozenset(
        # Back on disk where there was no room for it, which is no fault of the model.
        {ModelState.READY, ModelState.FAILED, ModelState.QUARANTINED, ModelState.DRAINING, ModelState.ON_DISK}
    ),
    ModelState.READY: frozenset({ModelState.DRAINING, ModelState.QUARANTINED}),
    ModelState.DRAINING: frozenset({ModelState.ON_DISK}),
    ModelState.FAILED: frozenset({ModelState.LOADING, ModelState.ON_DISK, ModelState.QUARANTINED}),
    ModelState.QUARANTINED: frozenset({ModelState.ON_DISK}),
    # These are looked up each time, in the downloads, among the active backends and by its source: nobody sets them.
    ModelState.DOWNLOADING: frozenset(),
    ModelState.NO_ENGINE: frozenset(),
    ModelState.REMOTE: frozenset(),
}


def shown(state: ModelState, info: ModelInfo) -> ModelState:
    """As operators see it: what runs elsewhere is on no disk of ours."""
    return ModelState.REMOTE if state is ModelState.ON_DISK and info.remote else state


def following(before: ModelState, after: ModelState) -> ModelState:
    """The state `after`; raises RuntimeError where it cannot follow `before`, which is a bug of the caller."""
    if after not in TRANSITIONS[before]:
        raise RuntimeError(f"a model that is {before} cannot become {after}")
    return after
