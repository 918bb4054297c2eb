"""How the kernel's parts are made from the configuration and from what the plugins offer."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field, frozen

from lmx.config import Config
from lmx.config.schema import Models, Presets, Workers
from lmx.log import logger
from lmx.models.catalogue import Backend, Catalogue
from lmx.plugins import Offer, Registry, Status
from lmx.plugins.describe import facts
from lmx.structure import unstructure
from lmx.workers import Deaths, EngineHandle, engine_handle
from lmx_hookspecs import Downloader, Logger, ModelInfo, Scheduler, Ticket
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.http import Describable, Wrap

if TYPE_CHECKING:
    from lmx.kernel import Kernel

PRESETS_FOLDER = "presets"


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
    opened: dict[str, list[Any]] = field(factory=dict)
    """By plugin."""

    def open(self, offers: Sequence[Offer]) -> dict[str, Any]:
        """What these recipes make, by plugin and spec."""
        made = {f"{offer.plugin}.{offer.spec.name}": self._open(offer, offer.spec.open) for offer in offers}
        return {name: part for name, part in made.items() if part is not None}

    def downloader(self, sources: Sequence[Offer]) -> Downloader | None:
        """That of the first source which has one."""
        able = [offer for offer in sources if offer.spec.downloader is not None]
        made = (self._open(offer, offer.spec.downloader) for offer in able)
        return next((downloader for downloader in made if downloader is not None), None)

    def middlewares(self) -> dict[str, Wrap]:
        """What stands around the application, by plugin and spec, the outermost first."""
        offers = sorted(self.registry.specs("lmx_middlewares"), key=lambda offer: offer.spec.order)
        made = {f"{offer.plugin}.{offer.spec.name}": self._open(offer, offer.spec.wrap) for offer in offers}
        return {name: wrap for name, wrap in made.items() if wrap is not None}

    def scheduler(self, policy: str) -> Scheduler:
        """The one that `scheduling.policy` names; raises ConfigError."""
        offers = {offer.spec.name: offer for offer in self.registry.specs("lmx_schedulers")}
        if policy in offers:
            chosen: Scheduler = offers[policy].spec.open(self.context(offers[policy].plugin))
            self.opened.setdefault(offers[policy].plugin, []).append(chosen)
            return chosen
        if not offers and not self.registry.specs("lmx_backends"):
            return OpenDoor()  # nothing can be asked for, so there is nothing to order
        raise ConfigError(
            f"scheduling.policy is {policy!r}, and no active plugin offers it; "
            f"there {'are' if offers else 'is'}: {', '.join(sorted(offers)) or 'none'}"
        )

    def _open(self, offer: Offer, recipe: Callable[[PluginContext], Any]) -> Any:
        try:
            made = recipe(self.context(offer.plugin))
        except Exception as error:  # one plugin may break in any way: the others, and the server, go on
            self.log.error("plugin_failed", plugin=offer.plugin, exc_info=error)
            self.registry.fail(offer.plugin, f"{offer.spec.name} could not be opened: {error}")
            return None
        self.opened.setdefault(offer.plugin, []).append(made)
        return made


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


def described(parts: Mapping[str, Any]) -> dict[str, Any]:
    """What those of these parts that can describe themselves say."""
    return {name: part.describe() for name, part in parts.items() if isinstance(part, Describable)}


def sources_of(registry: Registry) -> list[Offer]:
    """The model sources, the first in precedence first."""
    return sorted(registry.specs("lmx_model_sources"), key=lambda offer: -offer.spec.priority)


def catalogue_of(models: Models, registry: Registry, sources: Mapping[str, Any]) -> Catalogue:
    """What could be loaded."""
    return Catalogue(
        sources,
        [Backend(offer.plugin, offer.spec) for offer in registry.specs("lmx_backends")],
        settings=entries_of(models),
        defaults={
            "mode": None if models.use_batching else "single",
            "completion_batch_size": models.scheduler_completion_batch_size,
            "prefill_batch_size": models.scheduler_prefill_batch_size,
            "prefix_cache_enabled": models.prefix_cache_enabled,
            "metal_cache_limit_gb": models.metal_cache_limit_gb,
            "kv_bits": models.kv_bits,
            "kv_group_size": models.kv_group_size,
        },
        hints={record.name: record.advice or "" for record in registry.records if record.status is Status.IDLE},
    )


def entries_of(models: Models) -> dict[str, Mapping[str, Any]]:
    """What `models.settings` really sets, by model."""
    return {model_id: _given(entry) for model_id, entry in models.settings.items()}


def deaths_of(workers: Workers) -> Callable[[], Deaths]:
    """Makes a fresh count of failed loads."""
    return partial(
        Deaths,
        monotonic,
        workers.quarantine_window_s,
        workers.quarantine_after,
        workers.restart_pause_s,
        workers.max_restart_pause_s,
    )


def engine_of(config: Config, backend: Backend, info: ModelInfo, changed: Any) -> EngineHandle:
    """An engine, not yet started."""
    return engine_handle(
        backend.spec,
        plugin=backend.plugin,
        plugin_config=unstructure(config.plugin(backend.plugin)) or {},
        model=info,
        settings=config.section("workers"),
        log=logger(f"worker.{backend.plugin}"),
        on_change=changed,
    )


def presets_folder(presets: Presets, config_dir: Path | None) -> Path | None:
    """The configured folder, else `presets` beside the configuration."""
    if presets.directory is not None:
        return presets.directory.expanduser()
    return config_dir / PRESETS_FOLDER if config_dir else None


def _given(entry: Any) -> dict[str, Any]:
    """The settings that an entry really sets."""
    plain = attrs.asdict(entry) if attrs.has(type(entry)) else dict(entry)
    return {name: value for name, value in plain.items() if value is not None}
