import tomllib
from pathlib import Path

import pytest

from lmx.plugins.scaffold import PLACEHOLDERS, generate, template_folder
from lmx_hookspecs.errors import Conflict, PluginError
from plugin_folder import PluginFolder


def test_names_are_replaced_in_files_and_in_what_they_hold(tmp_path: Path) -> None:
    folder = generate("loud_parrot", tmp_path)

    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert folder == tmp_path / "lmx-loud-parrot"
    assert project["name"] == "lmx-loud-parrot"
    assert project["entry-points"] == {"lmx.plugins": {"loud_parrot": "lmx_loud_parrot"}}
    assert (folder / "lmx_loud_parrot" / "__init__.py").is_file()


def test_no_placeholder_is_left_behind(tmp_path: Path) -> None:
    folder = generate("parrot", tmp_path)

    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) >= 9
    for path in written:
        text = str(path.relative_to(folder)) + path.read_text("utf-8")
        assert not any(placeholder in text for placeholder in PLACEHOLDERS), path


def test_the_template_holds_nothing_that_a_machine_made() -> None:
    names = {path.name for path in template_folder().rglob("*")}

    assert not any(name.endswith(".pyc") or name == "__pycache__" for name in names)


@pytest.mark.parametrize("name", ["", "My", "my-plugin", "1st", "a__b", "_a", "a_", "a b", "../a", "é"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot name a plugin"):
        generate(name, tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlx", "hookspecs"])
def test_a_name_that_lmx_uses_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="choose another name"):
        generate(name, tmp_path)


def test_the_name_of_an_installed_plugin_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PluginFolder(tmp_path, monkeypatch).add("parrot")

    with pytest.raises(Conflict, match="installed already, from dist-parrot"):
        generate("parrot", tmp_path)


def test_an_existing_folder_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "lmx-parrot").mkdir()

    with pytest.raises(Conflict, match="exists already"):
        generate("parrot", tmp_path)

    assert list((tmp_path / "lmx-parrot").iterdir()) == []
