from collections.abc import Sequence
from typing import Any, cast

from attrs import define, field

from kernel_support import Log, info, until
from lmx.loads_at_start import LoadsAtStart
from lmx.state import LoadedModel, RuntimeState
from lmx_hookspecs import LmxError, LoadOptions, ModelState, ModelStatus


@define
class Owing(RuntimeState):
    """A state whose run before this one has lost these models."""

    lost: Sequence[LoadedModel] = ()
    given_up: list[str] = field(factory=list)

    def restorable(self) -> Sequence[LoadedModel]:
        return self.lost

    def settled(self, model_id: str) -> None:
        self.given_up.append(model_id)


@define
class Models:
    """Loads anything but what fails."""

    failing: dict[str, Exception] = field(factory=dict)
    asked: list[tuple[str, LoadOptions]] = field(factory=list)

    async def load(self, model_id: str, options: LoadOptions) -> ModelStatus:
        self.asked.append((model_id, options))
        if model_id in self.failing:
            raise self.failing[model_id]
        return ModelStatus(info=info(model_id), state=ModelState.READY)


async def test_what_was_lost_comes_back_before_what_is_named_is_loaded() -> None:
    models, state = Models(), Owing(lost=[LoadedModel(id="lost", pinned=True)])
    loads = LoadsAtStart(cast("Any", models), state, Log())

    loads.begin(["named"])
    await until(lambda: len(models.asked) == 2)
    await loads.close()

    assert models.asked == [("lost", LoadOptions(pinned=True)), ("named", LoadOptions())]
    assert state.given_up == ["lost"]


async def test_a_bug_in_one_load_is_logged_and_the_others_are_loaded_all_the_same() -> None:
    bug, log = OverflowError("cannot convert"), Log()
    models = Models({"lost": bug, "refused": LmxError("no room")})
    state = Owing(lost=[LoadedModel(id="lost"), LoadedModel(id="found")])
    loads = LoadsAtStart(cast("Any", models), state, log)

    loads.begin(["refused", "named"])
    await until(lambda: len(models.asked) == 4)
    await loads.close()

    assert state.given_up == ["lost", "found"]
    assert log.named("auto_load_failed") == [
        {"model": "lost", "reason": "OverflowError: cannot convert", "exc_info": bug},
        {"model": "refused", "reason": "no room"},
    ]


async def test_without_a_start_there_is_nothing_to_close() -> None:
    await LoadsAtStart(cast("Any", Models()), RuntimeState(), Log()).close()
