"""On which terms a model is loaded: its settings, and what a caller, a preset or the configuration asked for."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from lmx.models import adapters, drafts
from lmx.models.catalogue import Backend, Catalogue
from lmx.models.performance import PARAM, model_settings, refuse_unhonoured
from lmx_hookspecs import LoadOptions, ModelInfo
from lmx_hookspecs.errors import Conflict, ModelNotFound


@frozen(kw_only=True)
class Terms:
    """What one load is made with."""

    info: ModelInfo
    """With the settings of this load merged in."""
    backend: Backend
    options: LoadOptions
    performance: Mapping[str, Any]
    """What was asked for beyond the configuration: by presets, and over them by the options."""
    draft: ModelInfo | None = None
    """The model whose weights `info.draft` names."""
    others: frozenset[str] = frozenset()
    """Ids of further models whose files it opens: its base, its draft model."""


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
        refuse_unhonoured({*self._configured(merged), *asked}, backend.spec, merged)
        adapter = self.catalogue.adapter(model_id)
        await _check_adapter(adapter)
        draft = await drafts.draft_for(merged, self.catalogue, _param(drafts.SETTING, asked_by(options)))
        others = [*([adapter.base] if adapter else []), *([draft.id] if draft else [])]
        return Terms(
            info=evolve(merged, draft=draft.path if draft else None),
            backend=backend,
            options=options,
            performance=asked,
            draft=draft,
            others=frozenset(others),
        )

    def _configured(self, info: ModelInfo) -> set[str]:
        """The names that the model's entry sets; what it holds under a plugin's name is that plugin's to judge."""
        entry = self.catalogue.entry(info.id)
        own = {name for name, value in entry.items() if not isinstance(value, Mapping)}
        return {*own, adapters.SETTING} if info.adapter else own


async def _check_adapter(adapter: adapters.Adapter | None) -> None:
    flaw = await asyncio.to_thread(adapters.flaw_of, adapter)
    if adapter is not None and flaw is not None:
        told = f"the files of adapter {adapter.name!r} are missing; mend {adapter.key}"
        raise ModelNotFound(f"model {adapter.id!r} cannot be loaded: {told}", param="model", detail=flaw)


def _param(setting: str, given: Mapping[str, Any]) -> str:
    """What is at fault where this setting is: the request that asks for it, or the model that has it."""
    return f"{PARAM}.{setting}" if setting in given else "model"


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
