"""From the name in a request to the models that may answer it, best first."""

from collections.abc import Mapping, Sequence

from attrs import define, field

from lmx.models.catalogue import Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs.errors import ModelNotFound

AUTO = "auto"


@define(eq=False)
class Router:
    """`auto` is reserved; then an exact id counts before an alias of the same name."""

    catalogue: Catalogue
    models: Lifecycle
    aliases: Mapping[str, Sequence[str]] = field(factory=dict)
    default_model: str | None = None

    async def resolve(self, name: str) -> Sequence[str]:
        """Ids to try in order; raises ModelNotFound."""
        if name == AUTO:
            return [await self._default()]
        if self.models.is_ready(name):
            return [name]
        try:
            return [(await self.catalogue.find(name)).id]
        except ModelNotFound:
            if name in self.aliases:
                return await self._alias(name)
            raise

    async def _alias(self, name: str) -> Sequence[str]:
        """The alias's models that exist: loaded ones first, each group in the configured order."""
        known = {info.id for info in await self.catalogue.models()}
        targets = [target for target in self.aliases[name] if target in known]
        if not targets:
            raise ModelNotFound(
                f"alias {name!r} names no model that is here ({', '.join(self.aliases[name]) or 'it is empty'}); "
                "change routing.aliases or add one of them",
                param="model",
            )
        return sorted(targets, key=lambda target: not self.models.is_ready(target))

    async def _default(self) -> str:
        """The configured default, else the first loaded model, else the one that ships with LMX."""
        if self.default_model is not None:
            return (await self.catalogue.find(self.default_model)).id
        for resident in self.models.loaded():
            if self.models.is_ready(resident.info.id):
                return resident.info.id
        models = await self.catalogue.models()
        servable = [status.info for status in await self.models.list() if status.backend is not None]
        for info in [*(info for info in servable if info.builtin), *servable]:
            return info.id
        raise ModelNotFound(
            f"there is no model to choose from ({len(models)} on disk, none with an active engine); "
            f"{self.catalogue.engine_advice()}",
            param="model",
        )
