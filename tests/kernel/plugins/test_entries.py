from pathlib import Path

import pytest

from lmx.plugins import PluginEntry, installed, installed_names, off_by_default
from plugin_folder import PluginFolder


def test_plugins_of_both_groups_are_found_with_their_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PluginFolder(tmp_path, monkeypatch)
    folder.add("zebra")
    folder.add("ant", off=True)

    found = installed()

    assert [entry for entry in found if entry.name in ("ant", "zebra")] == sorted(folder.entries)
    assert installed_names(found) >= {"ant", "zebra"}


def test_every_built_in_plugin_is_found() -> None:
    ours = {entry.name for entry in installed() if entry.distribution == "opta-lmx"}

    assert ours >= {"admin", "echo", "fifo", "folders", "hub", "mlx", "openai", "tiny"}


def test_only_plugins_of_the_second_group_are_off_by_default() -> None:
    entries = [PluginEntry(name="on", module="x"), PluginEntry(name="off", module="y", off_by_default=True)]

    assert off_by_default(entries) == {"off"}
