"""Stack presets: roles, which are aliases, pointed at models all at once or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import define, field

from lmx.config.schema import StackPreset
from lmx.log import logger
from lmx.names import AUTO, PRESET
from lmx.state.keeper import kept_nowhere
from lmx.structure import did_you_mean
from lmx_hookspecs import Logger, ModelState, Stack
from lmx_hookspecs.errors import InsufficientMemory, InvalidRequest, LmxError, ModelNotFound, NotFound
from lmx_hookspecs.services import ModelsService

UP = (ModelState.LOADING, ModelState.READY)


def _nothing() -> None:
    """Nobody wants to know."""


@define(eq=False)
class Stacks:
    """The stacks service; `changed` is called after each activation, so that it can be written down."""

    models: ModelsService
    configured: Mapping[str, StackPreset] = field(factory=dict)
    changed: Callable[[], None] = _nothing
    log: Logger = field(factory=lambda: logger("lmx"))
    kept: Callable[[], Awaitable[None]] = kept_nowhere
    """Awaited before an activation is acknowledged: returns once what `changed` told of outlives a crash."""
    _active: str | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def list(self) -> Sequence[Stack]:
        """By name."""
        return [self._stack(name) for name in sorted(self.configured)]

    def active(self) -> str | None:
        """The stack whose roles are in force."""
        return self._active if self._active in self.configured else None

    def roles(self) -> Mapping[str, str]:
        """Alias to model id, of the active stack."""
        active = self.active()
        return {} if active is None else self.configured[active].roles

    async def activate(self, name: str) -> Stack:
        """Load the models of all roles, then point the aliases at them; one activation at a time."""
        async with self._turn:
            stack = self._stack(name)
            await self._check(stack)
            await self._load(stack)
            self._active = name
        self.changed()
        await self.kept()
        self.log.info("stack_activated", stack=name, roles=dict(stack.roles))
        return stack

    def reconfigure(self, configured: Mapping[str, StackPreset]) -> None:
        """Other stacks; the active one stays so while there is one of its name, with the roles that it has now."""
        self.configured = configured

    def snapshot(self) -> str | None:
        """What `restore` needs."""
        return self.active()

    def restore(self, name: str | None) -> None:
        """Put the roles of an earlier run in force again, without loading anything."""
        if name is not None and name not in self.configured:
            self.log.warning("stack_not_restored", stack=name, reason="it is not in stack_presets any more")
        self._active = name if name in self.configured else None

    def _stack(self, name: str) -> Stack:
        if name not in self.configured:
            known = sorted(self.configured)
            advice = did_you_mean(name, known) or f"; stack_presets has {', '.join(known) or 'none'}"
            raise NotFound(f"there is no stack {name[:64]!r}{advice}", code="stack_not_found", param="name")
        configured = self.configured[name]
        return Stack(name=name, description=configured.description, roles=configured.roles)

    async def _check(self, stack: Stack) -> None:
        """Raises for roles that could never be played, before anything is loaded."""
        for role, model_id in stack.roles.items():
            for word in (role, model_id):
                if word == AUTO or word.startswith(PRESET):
                    raise _unusable(stack, f"role {role!r} is {model_id!r}: {word!r} is neither an alias nor a model")
            if await self._is_model(role):
                raise _unusable(stack, f"role {role!r} is also the id of a model, which would answer in its place")
            try:
                await self.models.get(model_id)
            except ModelNotFound as error:
                raise ModelNotFound(f"role {role!r} of stack {stack.name!r}: {error.message}", param="name") from None

    async def _is_model(self, name: str) -> bool:
        try:
            await self.models.get(name)
        except LmxError:  # unknown, or a name that no id could have
            return False
        return True

    async def _load(self, stack: Stack) -> None:
        wanted = [*dict.fromkeys(stack.roles.values())]
        down = [model_id for model_id in wanted if not await self._is_up(model_id)]
        loads = [asyncio.create_task(_load_one(self.models, model_id)) for model_id in wanted]
        try:
            await asyncio.gather(*loads)
            await self._check_together(stack, wanted)
        except BaseException:  # cancelled too: all or nothing
            await self._take_back(loads, down)
            raise

    async def _check_together(self, stack: Stack, wanted: Sequence[str]) -> None:
        """Raises where making room for one of them took another away."""
        gone = [model_id for model_id in wanted if not await self._is_up(model_id)]
        if gone:
            raise InsufficientMemory(
                f"the models of stack {stack.name!r} do not fit into memory together: there was no room left for "
                f"{', '.join(gone)}; unload others, or choose smaller models for its roles"
            )

    async def _take_back(self, loads: "Sequence[asyncio.Task[None]]", down: Sequence[str]) -> None:
        """Unload what this activation brought up, also what is still on its way."""
        for load in loads:
            load.cancel()
        await asyncio.wait(loads)
        for model_id in down:
            try:
                if await self._is_up(model_id):
                    await self.models.unload(model_id)
            except LmxError as error:
                self.log.warning("stack_left_model", model=model_id, reason=error.message)

    async def _is_up(self, model_id: str) -> bool:
        return (await self.models.get(model_id)).state in UP


async def _load_one(models: ModelsService, model_id: str) -> None:
    await models.load(model_id)


def _unusable(stack: Stack, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"stack {stack.name!r} cannot be activated: {reason}; change stack_presets.{stack.name}.roles", param="name"
    )
