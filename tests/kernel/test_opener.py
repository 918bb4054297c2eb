from pathlib import Path

import pytest

from http_support import FakeContext, FakeServices, RecordingLog
from lmx.opening import Opener
from lmx.plugins import Registry, Status, discover
from plugin_folder import PluginFolder

WRAP = """
    def wrap(context):
        {body}

    @hookimpl
    def lmx_middlewares():
        return [MiddlewareSpec(name={name!r}, wrap=wrap, order={order})]
"""


def opener_of(registry: Registry) -> Opener:
    return Opener(registry, lambda name: FakeContext(FakeServices(), name=name), RecordingLog())  # type: ignore[arg-type, return-value]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginFolder:
    return PluginFolder(tmp_path, monkeypatch)


def test_middlewares_are_opened_in_their_order_and_can_be_found_again(folder: PluginFolder) -> None:
    for name, order in [("inner", 60), ("outer", 10)]:
        folder.add(name, WRAP.format(name=name, body="return context.name.join", order=order))
    opener = opener_of(discover((), folder.entries).collect())

    made = opener.middlewares()

    assert list(made) == ["outer.outer", "inner.inner"]
    assert opener.parts() == {"outer": [made["outer.outer"]], "inner": [made["inner.inner"]]}


def test_what_the_handlers_of_a_surface_share_is_opened_once_and_can_be_found_again(folder: PluginFolder) -> None:
    folder.add(
        "sharing",
        """
        @hookimpl
        def lmx_surfaces():
            return [SurfaceSpec(name="desk", open=lambda context: [context.name]), SurfaceSpec(name="plain")]
        """,
    )
    opener = opener_of(discover((), folder.entries).collect())

    made = opener.surfaces()

    assert made == {"sharing.desk": ["sharing"]}
    assert opener.part("sharing", "desk") is made["sharing.desk"]


def test_a_middleware_that_cannot_be_opened_is_left_out_and_told_of(folder: PluginFolder) -> None:
    folder.add("broken", WRAP.format(name="broken", body="raise RuntimeError('no room')", order=10))
    folder.add("fine", WRAP.format(name="fine", body="return context.name.join", order=20))
    registry = discover((), folder.entries).collect()

    made = opener_of(registry).middlewares()

    assert list(made) == ["fine.fine"]
    assert registry.record("broken").status is Status.FAILED
    assert "no room" in (registry.record("broken").reason or "")
