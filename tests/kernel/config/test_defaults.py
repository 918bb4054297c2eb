"""The drop-ins in `config.d`: complete, true, and changing nothing until a line is uncommented."""

import json
import re
from pathlib import Path

import pytest

from lmx.config import Config, read, resolve
from lmx.config.defaults import PluginKeys, built_in_plugins, drop_ins

SHIPPED = Path(__file__).parents[3] / "config.d"


@pytest.fixture(scope="module")
def plugins() -> list[PluginKeys]:
    return list(built_in_plugins())


def uncommented(text: str) -> str:
    return re.sub(r'^( +)# (\w+: |  - ")', r"\1\2", text, flags=re.MULTILINE)


def resolved(folder: Path, plugins: list[PluginKeys]) -> Config:
    specs = {plugin.name: plugin.specs for plugin in plugins}
    off = {plugin.name for plugin in plugins if not plugin.enabled}
    return resolve(read(folder, {}), specs, specs.keys(), off)


def shown(config: Config) -> str:
    """As text in which the user's home is `~`, which a path that was written is freed from."""
    return json.dumps(config.plain(), indent=1).replace(str(Path.home()), "~")


def test_the_shipped_files_are_what_the_schemas_say(plugins: list[PluginKeys]) -> None:
    shipped = {file.name: file.read_text(encoding="utf-8") for file in SHIPPED.glob("*.yaml")}

    assert shipped == drop_ins(plugins), "run `python -m lmx.config.defaults`"


def test_the_shipped_files_change_nothing(tmp_path: Path, plugins: list[PluginKeys]) -> None:
    shipped, nothing = resolved(SHIPPED, plugins), resolved(tmp_path, plugins)

    assert shipped.plain() == nothing.plain()
    assert set(shipped.origins().values()) == {"default"}


def test_uncommented_they_name_every_key_at_its_default(tmp_path: Path, plugins: list[PluginKeys]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for file in SHIPPED.glob("*.yaml"):
        (tmp_path / file.name).write_text(uncommented(file.read_text(encoding="utf-8")), encoding="utf-8")

    config = resolved(tmp_path, plugins)

    assert shown(config) == shown(resolved(empty, plugins))
    assert [key for key, origin in config.origins().items() if origin == "default"] == ["stack_presets", "backends"]


def test_the_examples_of_sections_without_defaults_are_valid(tmp_path: Path, plugins: list[PluginKeys]) -> None:
    _, _, example = (SHIPPED / "10-models.yaml").read_text(encoding="utf-8").partition("stack_presets:\n")
    lines = [line.replace("# ", "", 1) for line in example.partition("\n\n")[0].splitlines()]
    (tmp_path / "00.yaml").write_text("\n".join(["stack_presets:", *lines]), encoding="utf-8")

    config = resolved(tmp_path, plugins)

    (stack,) = config.section("stack_presets").values()
    assert stack.roles == {"code": "lmx-tiny", "chat": "lmx-tiny"}


def test_lines_are_short_enough_to_read() -> None:
    lines = [line for file in SHIPPED.glob("*.yaml") for line in file.read_text(encoding="utf-8").splitlines()]

    assert max(map(len, lines)) <= 120
