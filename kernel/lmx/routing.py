"""From the name in a request to the models that may answer it, best first."""

from collections.abc import Callable, Mapping, Sequence

from attrs import define, field

from lmx.models.catalogue import Catalogue
from lmx.models.gate import being_downloaded
from lmx.models.lifecycle import Lifecycle
from lmx.names import AUTO
from lmx.presets import PresetLibrary
from lmx_hookspecs import Capability, ModelState, ModelStatus, Preset
from lmx_hookspecs.errors import ModelNotFound, Unavailable

__all__ = ["AUTO", "Router"]

GENERATES: frozenset[str] = frozenset({Capability.CHAT, Capability.COMPLETION})
"""What `auto` is asked for unless something else is wanted: a model that only embeds or reranks is no answer."""

RERANKS: frozenset[str] = frozenset({Capability.RERANK})


@define(eq=False)
class Router:
    """`auto` and `preset:<name>` are reserved; then an exact id counts before an alias of the same name."""

    catalogue: Catalogue
    models: Lifecycle
    _aliases: Mapping[str, Sequence[str]] = field(factory=dict)
    _default_model: str | None = None
    presets: PresetLibrary = field(factory=PresetLibrary)
    roles: Callable[[], Mapping[str, str]] = dict
    """The roles of the active stack: alias to the model that comes before the alias's others."""

    def reconfigure(self, aliases: Mapping[str, Sequence[str]], default_model: str | None) -> None:
        """Route by these from now on."""
        self._aliases, self._default_model = aliases, default_model

    async def resolve(self, name: str, wanted: frozenset[str] = GENERATES) -> Sequence[str]:
        """Ids to try in order; `auto` can do something of what is `wanted`.

        Raises ModelNotFound, and Unavailable for a model on its way here.
        """
        preset = self.presets.named(name)
        if preset is not None:
            return await self._preset(preset, wanted)
        if name == AUTO:
            return [await (self._default() if wanted == GENERATES else self._specialist(wanted))]
        if self.models.is_ready(name):
            return [name]
        try:
            return [(await self.catalogue.find(name)).id]
        except ModelNotFound:
            aliases = self.aliases()
            if name in aliases:
                return await self._alias(name, aliases[name])
            if name in self.models.downloading():
                raise being_downloaded(name) from None
            raise

    def aliases(self) -> Mapping[str, Sequence[str]]:
        """Every alias: its model in the active stack, then the configured ones, then those of presets, each once."""
        merged = {alias: [*targets] for alias, targets in self._aliases.items()}
        for alias, targets in self.presets.aliases().items():
            merged[alias] = [*merged.get(alias, ()), *targets]
        for role, model_id in self.roles().items():
            merged[role] = [model_id, *merged.get(role, ())]
        return {alias: [*dict.fromkeys(targets)] for alias, targets in merged.items()}

    def fallbacks(self, model_id: str) -> Sequence[str]:
        """The models of its entry that may answer in its place while it cannot, in order, whether they exist or not."""
        return self.catalogue.entry(model_id).get("fallback") or ()

    def default_model(self) -> str | None:
        """The configured default, which `auto` prefers."""
        return self._default_model

    async def _preset(self, preset: Preset, wanted: frozenset[str]) -> Sequence[str]:
        try:
            return await self.resolve(preset.model, wanted)
        except ModelNotFound as error:
            raise ModelNotFound(f"the model of preset {preset.name!r}: {error.message}", param="model") from None

    async def _alias(self, name: str, targets: Sequence[str]) -> Sequence[str]:
        """The alias's models that exist: loaded ones first, each group in the order of preference."""
        known = {info.id for info in await self.catalogue.models()}
        here = [target for target in targets if target in known]
        if not here:
            raise ModelNotFound(
                f"alias {name!r} names no model that is here ({', '.join(targets) or 'it is empty'}); "
                "change routing.aliases or add one of them",
                param="model",
            )
        return sorted(here, key=lambda target: not self.models.is_ready(target))

    async def _default(self) -> str:
        """The configured default, else the first loaded model, else the one that ships with LMX.

        A default that is not loaded, and that no request may load, leaves it to a loaded one.
        """
        ready = [
            resident.info.id
            for resident in self.models.loaded()
            if self.models.is_ready(resident.info.id) and GENERATES & resident.capabilities
        ]
        default = self._default_model
        if default is not None and (self.models.jit_load or default in ready or not ready):
            return (await self.catalogue.find(default)).id
        if ready:
            return ready[0]
        models = await self.catalogue.models()
        servable = [status.info for status in await self.models.list() if GENERATES & status.capabilities]
        for info in [*(info for info in servable if info.builtin), *servable]:
            return info.id
        raise ModelNotFound(
            f"there is no model to choose from ({len(models)} on disk, none with an active engine); "
            f"{self.catalogue.engine_advice()}",
            param="model",
        )

    async def _specialist(self, wanted: frozenset[str]) -> str:
        """The same one whatever is loaded, since vectors of two models do not compare; any that is loaded may rerank.

        First those that do nothing else; then the configured default, the one that ships with LMX, the others by id.
        """
        known = await self.models.list()
        able = [status for status in known if wanted & status.capabilities]
        if not self.models.jit_load:
            able = [status for status in able if self.models.is_ready(status.info.id)] or able
        if able:
            if wanted == RERANKS:
                able = self._at_hand(able)
            return min(able, key=self._preference).info.id
        for status in known:
            if status.state is ModelState.NO_ENGINE and wanted & (status.info.capabilities or frozenset()):
                raise Unavailable(status.reason or "its engine is missing", code="no_engine", param="model")
        raise ModelNotFound(f"there is no model for {', '.join(sorted(wanted))} to choose from", param="model")

    def _at_hand(self, able: list[ModelStatus]) -> list[ModelStatus]:
        """Those that are loaded, where any is, and of these the pinned ones, where any is."""
        loaded = [status for status in able if self.models.is_ready(status.info.id)] or able
        return [status for status in loaded if status.pinned] or loaded

    def _preference(self, status: ModelStatus) -> tuple[bool, bool, bool, str]:
        info = status.info
        return bool(GENERATES & status.capabilities), info.id != self._default_model, not info.builtin, info.id
