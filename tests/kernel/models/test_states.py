import pytest

from kernel_support import ScriptedEngine, info, lifecycle
from lmx.models.states import TRANSITIONS, following
from lmx_hookspecs import ModelState

ALLOWED = {
    ("on_disk", "loading"),
    ("on_disk", "quarantined"),
    ("loading", "ready"),
    ("loading", "failed"),
    ("loading", "quarantined"),
    ("loading", "draining"),
    ("loading", "on_disk"),
    ("ready", "draining"),
    ("ready", "quarantined"),
    ("draining", "on_disk"),
    ("failed", "loading"),
    ("failed", "on_disk"),
    ("failed", "quarantined"),
    ("quarantined", "on_disk"),
}
PAIRS = [(before, after) for before in ModelState for after in ModelState]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_state_is_followed_by_those_of_the_table_and_by_no_other(before: ModelState, after: ModelState) -> None:
    if (before, after) in ALLOWED:
        assert following(before, after) is after
    else:
        with pytest.raises(RuntimeError, match=f"is {before} cannot become {after}"):
            following(before, after)


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(ModelState)


async def test_a_resident_refuses_an_impossible_change() -> None:
    models = lifecycle(ScriptedEngine(), info("m"))
    await models.load("m")
    (resident,) = models.loaded()

    with pytest.raises(RuntimeError, match="is ready cannot become failed"):
        resident.become(ModelState.FAILED)

    assert resident.state is ModelState.READY
