"""Which part of the kernel takes over which section when the configuration is read again."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmx import log, wiring
from lmx.config import reload
from lmx.config.rag import Rag
from lmx.config.reload import Part, Plan
from lmx.config.schema import Memory, Models, Presets, Prompts, Routing
from lmx_hookspecs.errors import ConfigError

if TYPE_CHECKING:
    from lmx.kernel import Kernel


def parts_of(kernel: "Kernel") -> Mapping[str, Sequence[Part]]:
    """By section, as `Config.section` names it."""

    def models(section: Models) -> None:
        kernel.models.catalogue.settings = wiring.entries_of(section)
        kernel.pipeline.timeout_s = section.inference_timeout_sec
        kernel.pipeline.max_rows = section.max_concurrent_requests
        kernel.preloader.enabled = section.preload_predicted

    def routing(section: Routing) -> None:
        kernel.routing.reconfigure(section.aliases, section.default_model)

    def presets(section: Presets) -> None:
        kernel.presets.enabled = section.enabled
        kernel.presets.directory = wiring.presets_folder(section, kernel.config.raw.directory)

    def prompts(section: Prompts) -> None:
        kernel.pipeline.canonicaliser = wiring.canonicaliser(section)

    parts: dict[str, Sequence[Part]] = {
        "models": [models],
        "memory": [_read_when_needed],
        "rag": [_read_when_needed],
        "routing": [routing],
        "presets": [presets],
        "prompts": [prompts],
        "stack_presets": [kernel.stacks.reconfigure],
        "logging": [log.reconfigure],
    }
    if kernel.access is not None:
        parts |= {"server": [kernel.access.reconfigure_server], "security": [kernel.access.reconfigure]}
    return {**parts, **_parts_of_plugins(kernel)}


def _parts_of_plugins(kernel: "Kernel") -> Mapping[str, Sequence[Part]]:
    def look_again(_: Any) -> None:
        kernel.models.look_again()  # what a model's node can do, say

    parts = reload.parts_of_plugins(kernel.config, kernel.opener.parts())
    return {name: [*takers, look_again] for name, takers in parts.items()}


def _read_when_needed(_: Memory | Rag) -> None:
    """Whoever needs one of these keys asks the configuration in force."""


async def reconfigure(kernel: "Kernel") -> Plan:
    """Read the files again, and have every part take over what changed; raises ConfigError with every problem."""
    if kernel.sources is None:
        raise ConfigError("this server was not started from configuration files, so there is nothing to read again")
    parts = parts_of(kernel)
    plan = await asyncio.to_thread(reload.plan, kernel.config, kernel.sources, parts)
    reload.apply(plan, parts)
    kernel.config = plan.config
    await kernel.presets.reload()
    return plan
