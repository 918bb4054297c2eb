import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define, field

from kernel_support import Log, info, until
from lmx.config.schema import StackPreset
from lmx.presets import Stacks
from lmx_hookspecs import LmxError, LoadOptions, MemoryReport, ModelState, ModelStatus
from lmx_hookspecs.errors import Conflict, EngineFailed, InsufficientMemory, InvalidRequest, ModelNotFound, NotFound

DUO = StackPreset(description="two", roles={"chat": "a", "code": "b"})
SOLO = StackPreset(roles={"chat": "c"})


@define(eq=False)
class Models:
    """A models service whose loads may wait, fail, or push another model out."""

    states: dict[str, ModelState]
    failing: dict[str, LmxError] = field(factory=dict)
    waiting: dict[str, asyncio.Event] = field(factory=dict)
    evicting: dict[str, str] = field(factory=dict)
    blocked: asyncio.Event = field(factory=asyncio.Event)
    """Set once a load waits."""
    unloaded: list[str] = field(factory=list)
    stuck: bool = False
    loading: int = 0
    most_loading: int = 0

    async def list(self) -> Sequence[ModelStatus]:
        return [await self.get(model_id) for model_id in self.states]

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:  # noqa: ARG002  as it is
        if model_id not in self.states:
            raise ModelNotFound(f"there is no model {model_id!r}")
        return ModelStatus(info=info(model_id), state=self.states[model_id])

    async def load(self, model_id: str, options: LoadOptions = LoadOptions()) -> ModelStatus:  # noqa: B008  it is frozen
        del options
        self.states[model_id] = ModelState.LOADING
        self.loading += 1
        self.most_loading = max(self.most_loading, self.loading)
        try:
            if model_id in self.waiting:
                self.blocked.set()
                await self.waiting[model_id].wait()
            else:
                await asyncio.sleep(0)
        finally:
            self.loading -= 1
        if model_id in self.failing:
            self.states[model_id] = ModelState.FAILED
            raise self.failing[model_id]
        self.states[model_id] = ModelState.READY
        if model_id in self.evicting:
            self.states[self.evicting[model_id]] = ModelState.ON_DISK
        return await self.get(model_id)

    async def unload(self, model_id: str) -> int:
        if self.stuck:
            raise Conflict("it will not go")
        self.states[model_id] = ModelState.ON_DISK
        self.unloaded.append(model_id)
        return 1

    async def pin(self, model_id: str, *, pinned: bool) -> ModelStatus:
        del pinned
        return await self.get(model_id)

    async def delete(self, model_id: str) -> int:
        raise ModelNotFound(model_id)

    def memory(self) -> MemoryReport:
        return MemoryReport(total_bytes=0, available_bytes=0, budget_bytes=0, held_bytes=0)


def on_disk(*ids: str) -> dict[str, ModelState]:
    return dict.fromkeys(ids, ModelState.ON_DISK)


def stacks(models: Models, **facts: Any) -> Stacks:
    return Stacks(models, {"duo": DUO, "solo": SOLO}, log=Log(), **facts)


async def test_an_activation_loads_all_roles_together_then_points_the_aliases_at_them() -> None:
    models, changes = Models(on_disk("a", "b", "c")), []
    desk = stacks(models, changed=lambda: changes.append("changed"))

    stack = await desk.activate("duo")

    assert (stack.name, stack.description, desk.active()) == ("duo", "two", "duo")
    assert desk.roles() == {"chat": "a", "code": "b"}
    assert models.most_loading == 2
    assert changes == ["changed"]
    assert [listed.name for listed in desk.list()] == ["duo", "solo"]


async def test_a_failure_unloads_what_this_activation_loaded_and_nothing_else() -> None:
    models = Models({**on_disk("b", "c"), "a": ModelState.READY}, failing={"c": EngineFailed("died")})
    trio = StackPreset(roles={"chat": "a", "code": "b", "talk": "c"})
    desk = Stacks(models, {"trio": trio, "solo": SOLO}, log=Log())

    with pytest.raises(EngineFailed):
        await desk.activate("trio")

    assert models.unloaded == ["b"]
    assert (desk.active(), desk.roles()) == (None, {})


async def test_a_failure_keeps_the_roles_of_the_stack_before() -> None:
    models = Models(on_disk("a", "b", "c"), failing={"b": EngineFailed("died")})
    desk = stacks(models)
    await desk.activate("solo")

    with pytest.raises(EngineFailed):
        await desk.activate("duo")

    assert (desk.active(), desk.roles()) == ("solo", {"chat": "c"})


async def test_a_caller_who_gives_up_leaves_nothing_half_done() -> None:
    models = Models(on_disk("a", "b", "c"), waiting={"b": asyncio.Event()})
    desk = stacks(models)
    activating = asyncio.create_task(desk.activate("duo"))
    await models.blocked.wait()

    activating.cancel()
    await asyncio.wait([activating])

    assert sorted(models.unloaded) == ["a", "b"]
    assert desk.active() is None


async def test_models_that_push_each_other_out_do_not_make_a_stack() -> None:
    models = Models(on_disk("a", "b", "c"), evicting={"b": "a"})
    desk = stacks(models)

    with pytest.raises(InsufficientMemory, match="no room left for a"):
        await desk.activate("duo")

    assert models.unloaded == ["b"]


async def test_a_model_that_cannot_be_taken_back_is_logged_and_the_reason_stays_the_first() -> None:
    models = Models(on_disk("a", "b"), failing={"b": EngineFailed("died")}, stuck=True)
    log = Log()

    with pytest.raises(EngineFailed):
        await Stacks(models, {"duo": DUO}, log=log).activate("duo")

    assert [line["model"] for line in log.named("stack_left_model")] == ["a"]


async def test_activations_come_one_after_the_other() -> None:
    models = Models(on_disk("a", "b", "c"), waiting={"b": asyncio.Event()})
    desk = stacks(models)
    first = asyncio.create_task(desk.activate("duo"))
    second = asyncio.create_task(desk.activate("solo"))
    await models.blocked.wait()
    before = models.states["c"]

    models.waiting["b"].set()
    await asyncio.gather(first, second)

    assert before is ModelState.ON_DISK
    assert desk.active() == "solo"


async def test_an_unknown_stack_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean 'duo'") as caught:
        await stacks(Models({})).activate("dou")

    assert caught.value.code == "stack_not_found"


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"chat": "auto"}, "'auto' is neither"),
        ({"chat": "preset:x"}, "'preset:x' is neither"),
        ({"auto": "a"}, "'auto' is neither"),
        ({"b": "a"}, "also the id of a model"),
    ],
)
async def test_roles_that_could_never_be_played_are_refused(roles: dict[str, str], words: str) -> None:
    models = Models(on_disk("a", "b"))

    with pytest.raises(InvalidRequest, match=words):
        await Stacks(models, {"odd": StackPreset(roles=roles)}, log=Log()).activate("odd")

    assert ModelState.READY not in models.states.values()


async def test_a_model_that_is_not_here_is_told_before_anything_is_loaded() -> None:
    models = Models(on_disk("a"))

    with pytest.raises(ModelNotFound, match="role 'code' of stack 'duo'"):
        await stacks(models).activate("duo")

    assert models.states["a"] is ModelState.ON_DISK


async def test_a_restored_stack_is_in_force_without_a_load() -> None:
    models = Models(on_disk("a", "b", "c"))
    earlier = stacks(models)
    await earlier.activate("solo")
    later = stacks(Models(on_disk("c")))

    later.restore(earlier.snapshot())

    assert later.roles() == {"chat": "c"}
    assert later.models.loading == 0  # type: ignore[attr-defined]


async def test_a_stack_that_is_gone_is_not_restored() -> None:
    log = Log()
    desk = Stacks(Models({}), {"solo": SOLO}, log=log)

    desk.restore("duo")

    assert desk.active() is None
    assert len(log.named("stack_not_restored")) == 1


async def test_other_stacks_after_a_reload_count_at_once() -> None:
    desk = stacks(Models(on_disk("a", "b", "c")))
    await desk.activate("duo")

    desk.reconfigure({"duo": StackPreset(roles={"chat": "b"})})
    changed = desk.roles()
    desk.reconfigure({})

    assert changed == {"chat": "b"}
    assert (desk.active(), desk.roles()) == (None, {})


async def test_an_activation_is_acknowledged_once_it_is_kept() -> None:
    disk_is_free, changes = asyncio.Event(), []

    async def kept() -> None:
        changes.append("kept")
        await disk_is_free.wait()

    desk = stacks(Models(on_disk("a", "b", "c")), changed=lambda: changes.append("changed"), kept=kept)
    activating = asyncio.create_task(desk.activate("duo"))
    await until(lambda: "kept" in changes)
    early = activating.done()
    disk_is_free.set()
    await activating

    assert not early
    assert changes == ["changed", "kept"]
