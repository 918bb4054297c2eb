"""Opens what the plugins offer, starts it and closes it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field, frozen

from lmx.plugins import Offer, Registry
from lmx.plugins.describe import facts
from lmx_hookspecs import Downloader, Logger, Scheduler, Ticket
from lmx_hookspecs.context import Startable
from lmx_hookspecs.errors import ConfigError, PluginError
from lmx_hookspecs.http import Wrap

if TYPE_CHECKING:
    from lmx.kernel import Kernel

T = TypeVar("T")

ASKED_HOOKS = ("lmx_backends", "lmx_rerankers")
"""Those whose specs answer requests."""


@frozen
class PluginContext:
    """What one plugin is handed; its configuration is the one in force whenever it looks."""

    name: str
    log: Logger
    services: "Kernel"

    @property
    def config(self) -> Any:
        """The plugin's section, or None for one without keys."""
        return self.services.config.plugin(self.name)

    def part(self, name: str) -> Any:
        """What this plugin's recipe of that name has made; raises PluginError."""
        return self.services.opener.part(self.name, name)


@frozen
class PluginList:
    """The plugins service."""

    registry: Registry

    def list(self) -> Sequence[Mapping[str, Any]]:
        """One plain record per plugin."""
        return [facts(record) for record in self.registry.records]


@define(eq=False)
class Opener:
    """Opens what plugins offer, and remembers what it opened; a plugin that cannot be opened is listed as failed."""

    registry: Registry
    context: Callable[[str], PluginContext]
    log: Logger
    opened: dict[str, dict[str, Any]] = field(factory=dict)
    """By plugin and name of the recipe, in the order in which they were made."""

    def part(self, plugin: str, name: str) -> Any:
        """What a plugin's recipe has made; raises PluginError."""
        try:
            return self.opened[plugin][name]
        except KeyError:
            raise PluginError(f"plugin {plugin!r} has opened nothing called {name!r}") from None

    async def start(self) -> None:
        """Start what works between requests; what cannot be started is logged, and the others go on."""
        for plugin, part in self._startable():
            try:
                await part.start()
            except Exception as error:  # one plugin may break in any way: the others, and the server, go on
                self.log.error("plugin_not_started", plugin=plugin, exc_info=error)

    async def close(self) -> None:
        """Close the same in reverse."""
        for plugin, part in reversed(self._startable()):
            try:
                await part.close()
            except Exception as error:  # the end of the others must not depend on this one
                self.log.error("plugin_not_closed", plugin=plugin, exc_info=error)

    def open(self, offers: Sequence[Offer]) -> dict[str, Any]:
        """What these recipes make, by plugin and spec."""
        made = {f"{offer.plugin}.{offer.spec.name}": self._open(offer, offer.spec.open) for offer in offers}
        return {name: part for name, part in made.items() if part is not None}

    def downloader(self, sources: Sequence[Offer]) -> Downloader | None:
        """That of the first source which has one."""
        able = [offer for offer in sources if offer.spec.downloader is not None]
        made = (self._open(offer, offer.spec.downloader, f"{offer.spec.name}.downloader") for offer in able)
        return next((downloader for downloader in made if downloader is not None), None)

    def middlewares(self) -> dict[str, Wrap]:
        """What stands around the application, by plugin and spec, the outermost first."""
        offers = sorted(self.registry.specs("lmx_middlewares"), key=lambda offer: offer.spec.order)
        made = {f"{offer.plugin}.{offer.spec.name}": self._open(offer, offer.spec.wrap) for offer in offers}
        return {name: wrap for name, wrap in made.items() if wrap is not None}

    def surfaces(self) -> dict[str, Any]:
        """What the handlers of surfaces share, by plugin and spec, for those that share anything."""
        return self.open([offer for offer in self.registry.specs("lmx_surfaces") if offer.spec.open is not None])

    def scheduler(self, policy: str) -> Scheduler:
        """The one that `scheduling.policy` names; raises ConfigError."""
        offers = {offer.spec.name: offer for offer in self.registry.specs("lmx_schedulers")}
        if policy in offers:
            chosen: Scheduler = offers[policy].spec.open(self.context(offers[policy].plugin))
            return self._kept(offers[policy], chosen)
        if not offers and not any(self.registry.specs(hook) for hook in ASKED_HOOKS):
            return OpenDoor()  # nothing can be asked for, so there is nothing to order
        raise ConfigError(
            f"scheduling.policy is {policy!r}, and no active plugin offers it; "
            f"there {'are' if offers else 'is'}: {', '.join(sorted(offers)) or 'none'}"
        )

    def _open(self, offer: Offer, recipe: Callable[[PluginContext], Any], name: str | None = None) -> Any:
        try:
            made = recipe(self.context(offer.plugin))
        except Exception as error:  # one plugin may break in any way: the others, and the server, go on
            self.log.error("plugin_failed", plugin=offer.plugin, exc_info=error)
            self.registry.fail(offer.plugin, f"{offer.spec.name} could not be opened: {error}")
            return None
        return self._kept(offer, made, name)

    def _kept(self, offer: Offer, made: T, name: str | None = None) -> T:
        self.opened.setdefault(offer.plugin, {})[name or offer.spec.name] = made
        return made

    def parts(self) -> dict[str, list[Any]]:
        """What was made, by plugin."""
        return {plugin: list(parts.values()) for plugin, parts in self.opened.items()}

    def _startable(self) -> list[tuple[str, Startable]]:
        parts = [(plugin, part) for plugin, made in self.opened.items() for part in made.values()]
        return [(plugin, part) for plugin, part in parts if isinstance(part, Startable)]


@define(eq=False)
class OpenDoor:
    """The scheduler of a kernel without plugins."""

    @asynccontextmanager
    async def admit(self, ticket: Ticket) -> AsyncIterator[None]:  # noqa: ARG002  the protocol's signature
        """Everybody may enter."""
        yield

    def describe(self) -> Mapping[str, Any]:
        """Nothing waits, nothing is limited."""
        return {"waiting": 0, "running": 0, "limit": 0}
