"""On which terms a model is loaded: its settings, and what a caller, a preset or the configuration asked for."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from lmx.models.catalogue import Backend, Catalogue
from lmx.models.performance import model_settings, refuse_unhonoured
from lmx_hookspecs import LoadOptions, ModelInfo
from lmx_hookspecs.errors import Conflict


@frozen(kw_only=True)
class Terms:
    """What one load is made with."""

    info: ModelInfo
    """With the settings of this load merged in."""
    backend: Backend
    options: LoadOptions
    performance: Mapping[str, Any]
    """What was asked for beyond the configuration: by presets, and over them by the options."""


def no_performance(_: str) -> Mapping[str, Any]:
    """No preset asks for anything."""
    return {}


@define(eq=False)
class Negotiator:
    """Finds the terms of a load, and refuses what a backend would not honour before anything is loaded."""

    catalogue: Catalogue
    performance_of: Callable[[str], Mapping[str, Any]] = field(default=no_performance)
    """The performance settings that presets have for a model."""

    async def terms(self, model_id: str, options: LoadOptions) -> Terms:
        """Raises ModelNotFound, Unavailable without an engine, and InvalidRequest for settings that cannot be had."""
        info = await self.catalogue.find(model_id)
        asked = {**model_settings(self.performance_of(model_id)), **asked_by(options)}
        merged = evolve(info, settings={**info.settings, **asked})
        backend = self.catalogue.backend_for(merged)
        refuse_unhonoured({*self._configured(model_id), *asked}, backend.spec, merged)
        return Terms(info=merged, backend=backend, options=options, performance=asked)

    def _configured(self, model_id: str) -> set[str]:
        """The names that the model's entry sets; what it holds under a plugin's name is that plugin's to judge."""
        entry = self.catalogue.settings.get(model_id, {})
        return {name for name, value in entry.items() if not isinstance(value, Mapping)}


def asked_by(options: LoadOptions) -> dict[str, Any]:
    """The model settings that these options ask for; raises InvalidRequest."""
    asked = model_settings(options.performance)
    return asked if options.context_length is None else {**asked, "context_length": options.context_length}


def refuse_other(info: ModelInfo, options: LoadOptions) -> None:
    """Raises Conflict where the options ask for settings that a model is not loaded with: those need a new load."""
    other = sorted(name for name, value in asked_by(options).items() if info.settings.get(name) != value)
    if other:
        raise Conflict(
            f"model {info.id!r} is loaded, or being loaded, with another {', '.join(other)}; unload it first, or leave "
            "the performance settings out",
            param="performance_overrides",
        )
