"""The engines of loaded models, as `/admin/health` shows them."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from lmx_hookspecs import ModelState, ModelStatus

HERE = frozenset({ModelState.LOADING, ModelState.READY, ModelState.DRAINING})


@frozen(kw_only=True)
class EngineAnswer:
    """One engine; what only a worker process tells is null for an engine without one, or while there is none."""

    state: ModelState
    reason: str | None
    """Why it is loading, where its worker is being replaced."""
    step_age_sec: float | None
    """Age of the step in progress when the worker beat last."""
    pending: int | None
    """Requests that the worker had then."""
    missed_beats: int | None
    in_flight: int


def engines_of(models: Sequence[ModelStatus]) -> Mapping[str, EngineAnswer]:
    """By model: those that are loaded, on their way in, or on their way out."""
    return {model.info.id: _engine(model) for model in models if model.state in HERE}


def _engine(model: ModelStatus) -> EngineAnswer:
    details = model.details
    return EngineAnswer(
        state=model.state,
        reason=model.reason,
        step_age_sec=details.get("step_age_s"),
        pending=details.get("pending"),
        missed_beats=details.get("missed_beats"),
        in_flight=model.in_flight,
    )
