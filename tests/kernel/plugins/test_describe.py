from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import frozen

from lmx.plugins import PluginRecord, discover
from lmx.plugins.describe import details, facts, range_text, type_name
from plugin_folder import PluginFolder, backend

KEYS = """
    from pathlib import Path
    from attrs import field, frozen

    @frozen
    class Cache:
        size_bytes: int = option(1024, "Bytes kept.", ge=0, le=4096)

    @frozen
    class Keys:
        cache: Cache = field(factory=Cache)
        token: str = option("hush", "Sent along.", secret=True)
        folder: Path = option(Path("/tmp/x"), "Where.")
        names: list[str] = option(factory=lambda: ["a"], doc="Which.", max_length=3, restart=False)
        mode: str = option("fast", "How.", choices=["fast", "small"])
        plain: float | None = None

    @hookimpl
    def lmx_config():
        return [ConfigSpec(cls=Keys)]

    @hookimpl
    def lmx_requires():
        return [Requires(modules=["json"], extra="mlx")]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginFolder:
    return PluginFolder(tmp_path, monkeypatch)


def only_record(folder: PluginFolder) -> PluginRecord:
    (record,) = discover((), folder.entries).collect().records
    return record


def test_the_facts_of_a_plugin_are_plain_data(folder: PluginFolder) -> None:
    folder.add("ant", backend("march"))

    said = facts(only_record(folder))

    assert said == {
        "name": "ant",
        "status": "active",
        "distribution": "dist-ant",
        "version": "1.0",
        "hooks": ["lmx_backends"],
        "reason": None,
        "advice": None,
        "interpreter": None,
    }


def test_keys_under_names_that_somebody_chooses_are_told_too(folder: PluginFolder) -> None:
    folder.add(
        "ant",
        """
        from collections.abc import Mapping
        from attrs import field, frozen

        @frozen
        class Box:
            url: str = option(doc="Where.", min_length=1)
            roles: list[str] = option(factory=list, doc="Which.")

        @hookimpl
        def lmx_config():
            return [ConfigSpec(section="boxes", cls=Mapping[str, Box])]
        """,
    )

    keys = details(only_record(folder))["keys"]

    assert [(key["key"], key["default"]) for key in keys] == [("boxes.<name>.url", None), ("boxes.<name>.roles", [])]


def test_details_name_what_each_hook_offers_and_what_is_required(folder: PluginFolder) -> None:
    folder.add("ant", KEYS + backend("march"))

    said = details(only_record(folder))

    assert said["offers"] == {"lmx_config": ["plugins.ant"], "lmx_backends": ["march"]}
    assert said["capabilities"] == {"march": []}
    assert said["requires"] == [{"modules": ["json"], "pip": "pip install 'opta-lmx[mlx]'"}]


def test_details_tell_type_default_and_range_of_every_key(folder: PluginFolder) -> None:
    folder.add("ant", KEYS)

    keys = {key["key"]: key for key in details(only_record(folder))["keys"]}

    assert keys["plugins.ant.cache.size_bytes"] == {
        "key": "plugins.ant.cache.size_bytes",
        "type": "int",
        "default": 1024,
        "ge": 0,
        "le": 4096,
        "secret": False,
        "restart": True,
        "doc": "Bytes kept.",
    }
    assert keys["plugins.ant.folder"]["default"] == "/tmp/x"
    assert (
        keys["plugins.ant.names"] | {"default": ["a"], "type": "list[str]", "restart": False}
        == keys["plugins.ant.names"]
    )
    assert keys["plugins.ant.plain"]["type"] == "float | None"


def test_the_default_of_a_secret_is_not_told(folder: PluginFolder) -> None:
    folder.add("ant", KEYS)

    keys = {key["key"]: key for key in details(only_record(folder))["keys"]}

    assert keys["plugins.ant.token"]["default"] is None


@frozen
class Inner:
    size: int = 1


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (str | None, "str | None"),
        (Mapping[str, Any], "Mapping[str, Any]"),
        (Sequence[Path], "Sequence[Path]"),
        (Literal["a", "b"], "Literal['a', 'b']"),
        (Inner, "Inner"),
    ],
)
def test_types_are_written_without_their_modules(hint: Any, text: str) -> None:
    assert type_name(hint) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ({}, ""),
        ({"ge": 0, "le": 10}, "≥ 0, ≤ 10"),
        ({"gt": 0.5}, "> 0.5"),
        ({"min_length": 1, "max_length": 64}, "length ≥ 1, length ≤ 64"),
        ({"choices": ["fast", 2]}, "one of fast, 2"),
    ],
)
def test_ranges_are_written_for_people(key: Mapping[str, Any], text: str) -> None:
    assert range_text(key) == text
