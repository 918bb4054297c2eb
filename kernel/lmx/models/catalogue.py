"""What could be loaded: the models of all sources, each with its settings and the backend that opens it."""

import asyncio
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from lmx.log import logger
from lmx.models.adapters import Adapter, adapted, adapter_of, adapters_of, entry_of
from lmx_hookspecs import BackendSpec, DeletableSource, LmxError, Logger, ModelInfo, ModelSource
from lmx_hookspecs.errors import Conflict, ModelNotFound, Unavailable
from lmx_hookspecs.model_files import refuse_remote_code

LONGEST_ID = 256
"""Longer ids are not compared with known ones, nor repeated whole."""
MOST_NAMED = 10


@frozen
class Backend:
    """A backend with the plugin that offers it."""

    plugin: str
    spec: BackendSpec


@define(eq=False)
class Catalogue:
    """Sources in order of precedence: where two know an id, the first wins."""

    sources: Mapping[str, ModelSource]
    """By the name of the plugin that offers it."""
    backends: Sequence[Backend]
    settings: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    """Per model id: its entry under `models.settings`."""
    defaults: Mapping[str, Any] = field(factory=dict)
    """Settings of every model that its entry does not override."""
    hints: Mapping[str, str] = field(factory=dict)
    """Per idle plugin: the pip line that would activate it."""
    log: Logger = field(factory=lambda: logger("lmx"))

    async def models(self) -> list[ModelInfo]:
        """Every model once, by id."""
        found: dict[str, ModelInfo] = {}
        for offered in await asyncio.to_thread(self._scan):
            found.setdefault(offered.id, offered)
        adapters = [adapter for adapter in adapters_of(self.settings) if adapter.base in found]
        found |= {adapter.id: adapted(found[adapter.base], adapter) for adapter in adapters}
        found = {model_id: self._configured(info) for model_id, info in found.items()}
        return [found[model_id] for model_id in sorted(found)]

    async def find(self, model_id: str) -> ModelInfo:
        """The model of that id; raises ModelNotFound, or InvalidRequest for an id that could never be one."""
        adapter = self.adapter(model_id)
        info = await asyncio.to_thread(self._find, model_id if adapter is None else adapter.base)
        if info is None:
            raise await self._not_found(model_id) if adapter is None else _no_base(adapter)
        configured = self._configured(info if adapter is None else adapted(info, adapter))
        refuse_remote_code(configured)
        return configured

    async def delete(self, model_id: str) -> int:
        """Delete the model's files, and return the bytes freed.

        Raises ModelNotFound, Conflict where its source cannot delete, and InvalidRequest for what could be no id.
        """
        try:
            self._refuse_adapter(model_id)
            freed_bytes = await asyncio.to_thread(self._delete, model_id)
            if freed_bytes is None:
                raise await self._not_found(model_id)
        except LmxError as error:
            error.param = "model_id"  # its name where models are managed
            raise
        return freed_bytes

    def adapter(self, model_id: str) -> Adapter | None:
        """The adapter that makes the model of that id."""
        return adapter_of(model_id, self.settings)

    def entry(self, model_id: str) -> Mapping[str, Any]:
        """What `models.settings` says of a model."""
        return entry_of(model_id, self.settings)

    def backend_for(self, info: ModelInfo) -> Backend:
        """The backend that its settings name, else the best-scored one that opens its format.

        Raises Unavailable where there is none.
        """
        wanted = info.settings.get("backend")
        able = [backend for backend in self.backends if info.format in backend.spec.formats]
        if wanted is not None:
            able = [backend for backend in able if backend.spec.name == wanted]
        if not able:
            raise Unavailable(self._no_engine(info, wanted), code="no_engine", param="model")
        return max(able, key=lambda backend: (backend.spec.score, backend.spec.name))

    def capabilities_of(self, info: ModelInfo) -> frozenset[str]:
        """What it can do, as far as that is known before it is loaded; raises Unavailable without an engine."""
        able = self.backend_for(info).spec.capabilities
        return able if info.capabilities is None else able & info.capabilities

    def _scan(self) -> list[ModelInfo]:
        return [info for name, source in self.sources.items() for info in self._guarded(name, source.models) or ()]

    def _find(self, model_id: str) -> ModelInfo | None:
        for name, source in self.sources.items():
            info: ModelInfo | None = self._guarded(name, source.find, model_id)
            if info is not None:
                return info
        return None

    def _delete(self, model_id: str) -> int | None:
        for name, source in self.sources.items():
            if self._guarded(name, source.find, model_id) is None:
                continue
            if not isinstance(source, DeletableSource):
                raise Conflict(f"model {model_id!r} comes from {name}, which deletes nothing; remove its files by hand")
            return source.delete(model_id)
        return None

    def _guarded(self, name: str, ask: Callable[..., Any], *arguments: str) -> Any:
        """What a source answers; None where it breaks."""
        try:
            return ask(*arguments)
        except LmxError:
            raise
        except Exception as error:  # one source may break in any way: the models of the others stay reachable
            self.log.error("model_source_failed", plugin=name, exc_info=error)
            return None

    def _configured(self, info: ModelInfo) -> ModelInfo:
        return evolve(info, settings={**self.defaults, **info.settings, **self.entry(info.id)})

    def _refuse_adapter(self, model_id: str) -> None:
        adapter = self.adapter(model_id)
        if adapter is not None:
            raise Conflict(
                f"model {model_id!r} is an adapter on {adapter.base!r}; take {adapter.key} out of the configuration, "
                "and remove its files by hand"
            )

    async def _not_found(self, model_id: str) -> ModelNotFound:
        if len(model_id) > LONGEST_ID:
            return ModelNotFound(f"there is no model {model_id[:40]!r}… ({len(model_id)} characters)", param="model")
        known = [info.id for info in await self.models()]
        near = difflib.get_close_matches(model_id, known, n=1)
        more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        names = ", ".join(known[:MOST_NAMED]) or "none"
        advice = f"did you mean {near[0]!r}?" if near else f"known models: {names}{more}"
        return ModelNotFound(f"there is no model {model_id!r}; {advice}", param="model")

    def engine_advice(self) -> str:
        """What would bring an engine, for the end of a message."""
        if not self.hints:
            return "no installed plugin brings one; one that is switched off may: see `lmx plugins list`"
        lines = "; ".join(f"for plugin {name}: {hint}" for name, hint in sorted(self.hints.items()))
        return f"`lmx plugins list` shows what is missing ({lines})"

    def _no_engine(self, info: ModelInfo, wanted: str | None) -> str:
        there = next((backend.spec for backend in self.backends if backend.spec.name == wanted), None)
        if there is not None:
            return f"model {info.id!r} is {info.format}, and its backend {wanted!r} opens {_listed(there.formats)} only"
        what = f"backend {wanted!r}" if wanted else f"a backend that opens {info.format} models"
        return f"model {info.id!r} needs {what}, and none is active; {self.engine_advice()}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _no_base(adapter: Adapter) -> ModelNotFound:
    return ModelNotFound(
        f"model {adapter.id!r} is an adapter on {adapter.base!r}, which is not here; get that model first",
        param="model",
    )
